"""The filters of the first layer, in the towers that the next layer sees apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from alexnet.evaluation.report.pictures import color_share
from alexnet.explain.layers import Layer, towers_of
from alexnet.explain.subject import Subject

_LARGEST_SIDE = 32


@dataclass(frozen=True)
class Filters:
    """The weights of a first convolution."""

    layer: Layer
    weights_OCHW: NDArray[Any]
    """Floats, C = 1 or 3."""
    towers: int
    """Equal parts of the filters that the next layer sees apart; 1 where it sees all."""

    def color_shares(self) -> list[float]:
        """Of each tower: share of the weights' squares that the channels do not have in common, 0..1."""
        return [color_share(part) for part in np.split(self.weights_OCHW, self.towers)]


def first_filters(subject: Subject) -> Filters | None:
    """The filters that look at the image itself; None where the first layer is no convolution of 1 or 3 channels."""
    if not subject.layers or subject.layers[0].kind != "conv":
        return None
    first = subject.layers[0]
    conv = dict(subject.model.named_modules())[first.path]
    assert isinstance(conv, nn.Conv2d)
    weights = conv.weight.detach().float().cpu().numpy()
    if weights.shape[1] not in (1, 3) or max(weights.shape[2:]) > _LARGEST_SIDE:
        return None
    return Filters(first, weights, towers_of(subject.layers))


def tiles(filters_OCHW: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Each filter as a picture [H, W, C], scaled by its own largest weight; mid-grey is 0."""
    weights = np.nan_to_num(filters_OCHW.astype(np.float64), posinf=0, neginf=0).transpose(0, 2, 3, 1)
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    levels = np.rint(127.5 + 127.5 * weights / np.where(largest > 0, largest, 1)).astype(np.uint8)
    return list(levels)
