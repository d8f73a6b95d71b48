"""What this package's contenders measure, each in its own process.

How all are timed: set-up (reading and decoding images, building the network) is not; then follow `seconds` / 4 of
warm-up and at least three steps, which are not either; then work is counted for `seconds` on the wall clock and
divided by the time it took. The peers in `benchmarks/peers` are timed by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from alexnet import runtime as runtimes
from alexnet.bench import _inference, _process, _training
from alexnet.bench.tasks import MeasureName, Setting
from alexnet.config import Precision
from alexnet.runtime import Runtime


@dataclass(frozen=True)
class _Measure:
    run: Callable[[Setting, Runtime], dict[str, Any]]
    precision: Precision = "auto"
    """auto as `alexnet train`, fp32 as `alexnet evaluate` and `predict`, by default."""


_MEASURES: dict[MeasureName, _Measure] = {
    "train_256": _Measure(partial(_training.tiny, batch_size=256)),
    "train_256_fixed_batch": _Measure(partial(_training.tiny, batch_size=256, fixed_batch=True)),
    "train_64": _Measure(partial(_training.tiny, batch_size=64)),
    "train_64_fixed_batch": _Measure(partial(_training.tiny, batch_size=64, fixed_batch=True)),
    "evaluate_files": _Measure(_inference.evaluate_files, "fp32"),
    "evaluate_memory": _Measure(_inference.evaluate_memory, "fp32"),
    "evaluate_memory_auto": _Measure(_inference.evaluate_memory),
    "latency": _Measure(_inference.latency, "fp32"),
    "alexnet_224": _Measure(_training.alexnet_224),
    "alexnet_224_fixed_batch": _Measure(partial(_training.alexnet_224, fixed_batch=True)),
    "alexnet_224_files": _Measure(_training.alexnet_224_files),
    "alexnet_224_shards": _Measure(partial(_training.alexnet_224_files, packed=True)),
    "memory": _Measure(_process.memory),
    "memory_floor": _Measure(_process.memory_floor),
    "startup_help": _Measure(partial(_process.startup, words=("-m", "alexnet", "--help"))),
    "startup_import": _Measure(partial(_process.startup, words=("-c", "import alexnet"))),
    "startup_python": _Measure(partial(_process.startup, words=("-c", "pass"))),
}


def measure(name: MeasureName, setting: Setting) -> dict[str, Any]:
    """Measure one thing in this process, which should do nothing else before or after.

    Returns:
        The figure of its task (`images_per_s`, `latency_ms`, `peak_mib` or `seconds`), what it was made from,
        `versions` and `machine`, as plain JSON values.

    Raises:
        UserError: what is to be measured needs images, and `setting` names none.
    """
    chosen = _MEASURES[name]
    runtime = runtimes.start(precision=chosen.precision, threads=setting.threads)  # first: it decides on memory
    environment = runtimes.environment(runtime)
    versions = {key: environment.pop(key) for key in ("alexnet", "python", "torch", "numpy")}
    return {**chosen.run(setting, runtime), "versions": versions, "machine": environment}
