"""The maps that an image makes, level by level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet.explain.layers import Layer
from alexnet.explain.reading import key_of, reading
from alexnet.explain.subject import Subject


@dataclass(frozen=True)
class Maps:
    """What one layer makes of one image."""

    layer: Layer
    answer: Tensor
    """fp32, [C, H, W] of a convolution, [C] of a dense layer, on the CPU."""

    def strongest(self, most: int) -> list[int]:
        """The channels with the largest mean above what they answer at least, strongest first."""
        flat = self.answer.flatten(1) if self.answer.ndim == 3 else self.answer[:, None]
        order: list[int] = flat.mean(1).topk(min(most, len(flat))).indices.tolist()
        return order


def maps_of(subject: Subject, x_HWC: Tensor) -> list[Maps]:
    """What every hidden layer answers to one uint8 image of the preprocessing's size."""
    layers = subject.hidden
    with torch.inference_mode(), reading(subject.model, [key_of(layer) for layer in layers]) as seen:
        subject.model(subject.input(x_HWC[None]))
    return [Maps(layer, seen[key_of(layer)][0].float().cpu()) for layer in layers]
