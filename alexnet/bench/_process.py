"""Memory of a whole training, and the time a command takes to start."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from alexnet import recipes, training
from alexnet.bench._images import dataset, in_memory
from alexnet.bench.tasks import Setting
from alexnet.errors import UserError
from alexnet.runtime import Runtime

_STATUS = Path("/proc/self/status")
_MIB = 2**20
_FEWEST_STARTS = 3


def memory(setting: Setting, runtime: Runtime) -> dict[str, Any]:
    """Peak of one epoch of `alexnet train tiny_cifar10`: decoding the files, training, evaluation and report.

    The cache is empty, as a newcomer's: all images are decoded.
    """
    source = setting.require_data("memory")
    recipe = replace(recipes.get("tiny_cifar10"), epochs=1, threads=setting.threads)
    _check_status()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ALEXNET_CACHE"] = folder  # of this process, which ends soon
        training.train(recipe, source, root=setting.root, out=Path(folder) / "run")
        peak_bytes = _peak_bytes(_STATUS.read_text())
    return {"peak_mib": peak_bytes / _MIB, "precision": runtime.precision}


def memory_floor(setting: Setting, runtime: Runtime) -> dict[str, Any]:
    """What cannot be avoided: the data set as bytes, and a process that has imported torch and done nothing."""
    del runtime
    _check_status()
    images = dataset(setting)
    images_bytes = sum(in_memory(part).pixels_NHWC.numel() for part in (images.train, images.open_test()))
    code = f"import torch; print(open({str(_STATUS)!r}).read())"
    torch_bytes = _peak_bytes(subprocess.run([sys.executable, "-c", code], stdout=-1, text=True, check=True).stdout)
    return {
        "peak_mib": (images_bytes + torch_bytes) / _MIB,
        "images_mib": images_bytes / _MIB,
        "torch_mib": torch_bytes / _MIB,
    }


def _check_status() -> None:
    if not _STATUS.exists():
        raise UserError(f"memory is read from {_STATUS}, which only Linux has: leave this task out")


def _peak_bytes(status: str) -> int:
    """Largest resident memory of a process so far, from its /proc/PID/status.

    Not `getrusage`: that counts the memory of the process that started it, too.
    """
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]


def startup(setting: Setting, runtime: Runtime, *, words: tuple[str, ...]) -> dict[str, Any]:
    """Median time of a Python process that does what `words` say, the first left out."""
    del runtime
    times_s: list[float] = []
    began_s = time.perf_counter()
    while len(times_s) <= _FEWEST_STARTS or time.perf_counter() - began_s < setting.seconds:
        start_s = time.perf_counter()
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        times_s.append(time.perf_counter() - start_s)
    return {"seconds": statistics.median(times_s[1:]), "starts": len(times_s) - 1}
