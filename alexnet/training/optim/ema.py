"""The exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a network's parameters and buffers.

    Early on it remembers less, min(decay, (1 + step) / (10 + step)), so that the first weights are forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._source = [t.detach() for t in model.state_dict().values() if t.is_floating_point()]
        self._decay = decay
        self.average = [t.clone() for t in self._source]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps (1 for the first)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, self._source, 1 - decay)

    def swap(self) -> None:
        """Exchange the network's weights with the average; a second call undoes the first."""
        kept = [t.clone() for t in self._source]
        torch._foreach_copy_(self._source, self.average)
        torch._foreach_copy_(self.average, kept)

    def load(self, average: Sequence[Tensor]) -> None:
        """Continue from an average kept before."""
        torch._foreach_copy_(self.average, list(average))
