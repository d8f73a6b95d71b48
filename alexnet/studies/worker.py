"""One run of a study, in its own process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet import lock
from alexnet.config import Recipe
from alexnet.errors import Interrupted, TrainingFailedError, UserError
from alexnet.files import write_json
from alexnet.run_folder import RunFolder
from alexnet.studies import sharing
from alexnet.studies.sharing import MEASURED
from alexnet.studies.study import AnyRecipe, Run, Study

_FORMER_S = 60.0  # that a run which a killed study left has to save what it has
_COMPLAINT = "error.txt"


@dataclass(frozen=True)
class Job:
    """The work of one process."""

    study: Study
    """Its `measure` must be a function of a module, so that it can be sent."""
    folder: Path
    recipe: AnyRecipe
    root: Path | None
    tuning: bool

    def complaint(self) -> str:
        """Why the last process that had this job ended without a result."""
        path = self.folder / _COMPLAINT
        if not path.is_file():
            return "its process was killed, for lack of memory perhaps; the same command tries again"
        return f"{path.read_text(encoding='utf-8').strip().splitlines()[-1]} (all of it is in {path})"


def work(job: Job) -> None:
    """Train and measure one run, and write `measured.json`.

    A network that does not learn is a result: `failure` says so in the place of figures.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes its signals on as SIGTERM
    _end_with_parent()
    job.folder.mkdir(parents=True, exist_ok=True)
    spent_s = sharing.cost_s(job.folder) - time.process_time()
    try:
        try:
            measured = _train_and_measure(job)
        except TrainingFailedError as error:
            measured = {"figures": {}, "curves": {}, "failure": str(error)}
        measured["cpu_s"] = round(spent_s + time.process_time(), 1)
        measured["environment"] = _environment(job)
        (job.folder / _COMPLAINT).unlink(missing_ok=True)
        write_json(job.folder / MEASURED, measured)
    except Interrupted:  # its checkpoint is on disk
        sharing.note_cost(job.folder, round(spent_s + time.process_time(), 1))
    except UserError as error:
        (job.folder / _COMPLAINT).write_text(f"{error}\n", encoding="utf-8")
    except Exception:
        (job.folder / _COMPLAINT).write_text(traceback.format_exc(), encoding="utf-8")


def _end_with_parent() -> None:
    """Stop, with a checkpoint, when the study's own process is killed: its next start would do the same run."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _train_and_measure(job: Job) -> dict[str, Any]:
    from alexnet import runtime

    study, folder = job.study, RunFolder(job.folder)
    runtime.start("cpu", "fp32", 1)  # this process measures on one thread, wherever it trains
    if study.trains:
        train(job.recipe, job.root, folder)
    if job.tuning:
        assert study.tuning is not None
        return {"figures": {study.tuning.by: folder.read_metrics()[-1][study.tuning.by]}, "curves": {}}
    return study.measure(Run(folder, job.recipe, job.recipe.data, job.root))


def train(recipe: AnyRecipe, root: Path | None, folder: RunFolder) -> None:
    """Train a run, or go on with it; one that is finished is left as it is."""
    from alexnet import baseline, training

    lock.wait_free(folder.path, _FORMER_S)
    if folder.result.is_file():
        return
    if not isinstance(recipe, Recipe):
        baseline.fit(recipe, root=root, out=folder.path, overwrite=True)
    elif folder.has_checkpoint():
        training.resume(folder.path)
    else:
        training.train(recipe, root=root, out=folder.path, overwrite=True)


def _environment(job: Job) -> dict[str, Any]:
    from alexnet import runtime

    recipe = job.recipe
    precision = recipe.precision if isinstance(recipe, Recipe) else "fp32"
    return runtime.environment(runtime.start(recipe.device, precision, recipe.threads))
