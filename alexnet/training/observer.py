"""Callbacks of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from alexnet.config import Recipe
from alexnet.data import Dataset
from alexnet.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands."""

    epoch: int
    """Finished epochs."""
    epochs: int
    step: int
    """Finished steps of the epoch under way."""
    steps: int
    loss: float
    """Mean training loss of the epoch so far."""
    images_per_s: float
    lr: float


class Observer:
    """Callbacks of a run; override any of them. Called about twice a second, never per step."""

    def on_load(self, done: int, total: int) -> None:
        """So many image files are decoded; not called where they were before."""

    def on_start(self, folder: RunFolder, recipe: Recipe, dataset: Dataset, model: nn.Module) -> None:
        """Training is about to begin, or to go on."""

    def on_progress(self, progress: Progress) -> None:
        """Some steps were done."""

    def on_epoch(self, row: dict[str, Any]) -> None:
        """An epoch was finished; `row` is its line of metrics.jsonl."""

    def on_end(self) -> None:
        """The run is over, whatever the reason."""
