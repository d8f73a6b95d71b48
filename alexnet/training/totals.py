"""Sums over the images of an epoch, kept on the device so that no step waits for it."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet.distributed import World


class Totals:
    """Loss, correct predictions and images of the epoch under way.

    Args:
        device: where losses and scores are.
        world: the processes that train together; each sums its own images.
    """

    def __init__(self, device: torch.device, world: World) -> None:
        self._device, self._world = device, world
        self._sums = self._zeros()

    def _zeros(self) -> dict[str, Tensor]:
        exact = torch.float32 if self._device.type == "mps" else torch.float64
        return {
            "loss": torch.zeros((), dtype=exact, device=self._device),
            "correct": torch.zeros((), dtype=torch.int64, device=self._device),
            "images": torch.zeros((), dtype=torch.int64),
        }

    def clear(self) -> None:
        """Begin an epoch."""
        self._sums = self._zeros()

    def add(self, loss: Tensor, scores_NK: Tensor, y_N: Tensor) -> None:
        """Count a batch: the sum of its losses, its scores and its classes."""
        self._sums["loss"] += loss
        self._sums["correct"] += (scores_NK.argmax(1) == y_N).sum()
        self._sums["images"] += len(y_N)

    def images(self) -> int:
        """Images so far, over all ranks; counted on the CPU, so this does not wait for the device."""
        (images,) = self._world.sum([self._sums["images"]])
        return int(images)

    def over_ranks(self) -> dict[str, Tensor]:
        """The sums over all ranks."""
        return dict(zip(self._sums, self._world.sum(list(self._sums.values())), strict=True))

    def read(self) -> tuple[float, int, int]:
        """Loss, correct predictions and images over all ranks, as numbers; waits for the device."""
        loss, correct, images = self.over_ranks().values()
        return float(loss), int(correct), int(images)

    def load(self, sums: dict[str, Tensor]) -> None:
        """Continue from what `over_ranks` gave; rank 0 holds it for all."""
        self.clear()
        if self._world.is_main:
            self._sums = {name: sums[name].to(zero.device) for name, zero in self._sums.items()}
