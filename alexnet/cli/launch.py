"""`alexnet train --processes N`: what `torchrun --nproc-per-node N -m alexnet train` does, in one word."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet import recipes
from alexnet.cli import show
from alexnet.config import Recipe
from alexnet.errors import UserError
from alexnet.run_folder import RunFolder, check_overwrite, default_path
from alexnet.system import usable_cores


@dataclass(frozen=True)
class Chosen:
    """What `alexnet train` was asked for."""

    recipe: Recipe
    root: Path | None
    out: Path | None
    resume: Path | None
    overwrite: bool
    stream: str
    track: bool
    hang_timeout_s: float


def train(chosen: Chosen, processes: int, max_restarts: int) -> int:
    """Train in `processes` processes of this host; returns the exit status, that of the first which failed.

    Raises:
        UserError: there is nothing to train, or this is a process of such a launch already.
    """
    _check(chosen, processes, max_restarts)
    words = _words(chosen)
    _prepare_environment(processes)
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)

    how = ["--standalone", "--local-addr", "localhost", "--nproc-per-node", str(processes)]
    how += ["--max-restarts", str(max_restarts), "-m", "alexnet", *words]
    try:
        run.run(run.parse_args(how))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        return _status(error)
    except SignalException as stop:
        return 128 + int(stop.sigval)
    return 0


def _check(chosen: Chosen, processes: int, max_restarts: int) -> None:
    if processes < 1 or max_restarts < 0:
        raise UserError("--processes must be 1 or more, and --max-restarts 0 or more")
    if "RANK" in os.environ:
        raise UserError("--processes starts processes by itself: drop it where torchrun, or a job, starts them")
    if chosen.resume is None:
        check_overwrite(chosen.out, overwrite=chosen.overwrite)
    elif RunFolder(chosen.resume).result.is_file():
        raise UserError(f"{chosen.resume} is finished, nothing is left to train: see {chosen.resume}/report.html")


def _words(chosen: Chosen) -> list[str]:
    """The command line of each process; it names the run folder, so that processes started again find it."""
    if chosen.resume is not None:
        words = ["train", "--resume", str(chosen.resume)]
    else:
        out = chosen.out or default_path(chosen.recipe)
        recipe = chosen.recipe
        words = ["train", recipe.name, "--data", recipe.data, "--out", str(out), *recipes.overrides(recipe)]
        words += ["--root", str(chosen.root)] if chosen.root else []
        words += ["--overwrite"] if chosen.overwrite else []
        words += ["--stream", chosen.stream]
    words += ["--track"] if chosen.track else []
    debug = ["--debug"] if logging.getLogger("alexnet").level == logging.DEBUG else []
    return [*words, "--hang-timeout-s", f"{chosen.hang_timeout_s:g}", *debug]


def _prepare_environment(processes: int) -> None:
    """Set what torchrun would set otherwise; what the user has set stays."""
    cpus = usable_cores()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cpus // processes)))
    os.environ.setdefault("LOGLEVEL", "CRITICAL")  # of torchrun: our processes say themselves what went wrong
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are on this host


def _status(error: Any) -> int:
    """Exit status of the process that failed first; a signal as a shell gives it."""
    _, failure = error.get_first_failure()
    code = int(failure.exitcode)
    if code < 0:
        show.complaint(f"the process of rank {failure.global_rank} (pid {failure.pid}) was ended by signal {-code}")
        return 128 - code
    return code
