"""What is compared, how it is measured, and what the package's own contenders are called.

This module imports neither torch nor numpy: the process that schedules stays small, and out of the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alexnet.errors import UserError
from alexnet.system import usable_cores

TaskName = Literal[
    "train_256", "train_64", "evaluate_files", "evaluate_memory", "latency", "alexnet_224", "memory", "startup"
]
MeasureName = Literal[
    "train_256",
    "train_256_fixed_batch",
    "train_64",
    "train_64_fixed_batch",
    "evaluate_files",
    "evaluate_memory",
    "evaluate_memory_auto",
    "latency",
    "alexnet_224",
    "alexnet_224_fixed_batch",
    "alexnet_224_files",
    "alexnet_224_shards",
    "memory",
    "memory_floor",
    "startup_help",
    "startup_import",
    "startup_python",
]


@dataclass(frozen=True)
class Task:
    """One thing that several programs can do, and the figure they are compared by."""

    title: str
    metric: str
    """Key of the figure in the line of JSON that a contender prints."""
    unit: str
    higher_is_better: bool = True


TASKS: dict[TaskName, Task] = {
    "train_256": Task("TinyAlexNet training, whole loop, batch 256", "images_per_s", "images/s"),
    "train_64": Task("TinyAlexNet training, whole loop, batch 64", "images_per_s", "images/s"),
    "evaluate_files": Task("TinyAlexNet evaluation of the test images, from files", "images_per_s", "images/s"),
    "evaluate_memory": Task("TinyAlexNet evaluation of the test images, in memory", "images_per_s", "images/s"),
    "latency": Task("TinyAlexNet on one image, pixels to probabilities", "latency_ms", "ms", False),
    "alexnet_224": Task("AlexNet training at 224 px, batch 64", "images_per_s", "images/s"),
    "memory": Task("peak memory of TinyAlexNet training", "peak_mib", "MiB", False),
    "startup": Task("start-up", "seconds", "s", False),
}


@dataclass(frozen=True)
class Own:
    """One of this package's contenders."""

    name: str
    task: TaskName
    measure: MeasureName
    one_core: bool = False


_WARMUP_SHARE = 0.25
WARMUP_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How everything is measured."""

    data: str | None
    """The images, as `alexnet.data.load` takes them; None: random ones, where that will do."""
    root: Path | None
    """Where a named source's files are."""
    threads: int
    """Cores of the processes, and threads they use."""
    seconds: float
    """How long to count."""

    def __post_init__(self) -> None:
        cores = usable_cores()
        if not 1 <= self.threads <= cores:
            raise UserError(f"threads must lie in 1..{cores}, the cores this process may use, not {self.threads}")
        if self.seconds <= 0:
            raise UserError(f"seconds must be positive, not {self.seconds:g}")

    @property
    def warmup_s(self) -> float:
        """Seconds before, that do not count."""
        return self.seconds * _WARMUP_SHARE

    def require_data(self, what: str) -> str:
        """The images' source; raises `UserError` where none was named."""
        if self.data is None:
            raise UserError(f"{what} needs images: name them with --data")
        return self.data

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without the place of the images."""
        data = None if self.data is None else Path(self.data).name
        return {"data": data, "threads": self.threads, "seconds": self.seconds, "warmup_s": self.warmup_s}


# The first of a task is what all others of the task are compared with.
OWN: tuple[Own, ...] = (
    Own("alexnet", "train_256", "train_256"),
    Own("alexnet, one fixed batch (no data)", "train_256", "train_256_fixed_batch"),
    Own("alexnet, 1 core", "train_256", "train_256", one_core=True),
    Own("alexnet", "train_64", "train_64"),
    Own("alexnet, one fixed batch (no data)", "train_64", "train_64_fixed_batch"),
    Own("alexnet, 1 core", "train_64", "train_64", one_core=True),
    Own("alexnet, fp32", "evaluate_files", "evaluate_files"),
    Own("alexnet, fp32", "evaluate_memory", "evaluate_memory"),
    Own("alexnet, precision auto", "evaluate_memory", "evaluate_memory_auto"),
    Own("alexnet, fp32", "latency", "latency"),
    Own("alexnet, one fixed batch", "alexnet_224", "alexnet_224_fixed_batch"),
    Own("alexnet, whole loop, images in memory", "alexnet_224", "alexnet_224"),
    Own("alexnet, whole loop, JPEG files of 500 x 375", "alexnet_224", "alexnet_224_files"),
    Own("alexnet, whole loop, shards packed from these", "alexnet_224", "alexnet_224_shards"),
    Own("alexnet train", "memory", "memory"),
    Own("the images as uint8 + import torch", "memory", "memory_floor"),
    Own("alexnet --help", "startup", "startup_help"),
    Own("import alexnet", "startup", "startup_import"),
    Own("python alone", "startup", "startup_python"),
)
