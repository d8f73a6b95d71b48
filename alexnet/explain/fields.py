"""Receptive fields: which part of the image each place of a map sees, computed from kernels or measured by trial."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.explain.reading import Key, reading
from alexnet.models import ConvNet
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import MaskingDropout, TowersNorm, WithinMapNorm

ACTIVATIONS = (
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.ELU,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.SELU,
    nn.CELU,
    nn.PReLU,
    nn.ReLU6,
    nn.Mish,
    nn.Softplus,
    nn.Hardswish,
    nn.Hardtanh,
)
"""Activation layers; a layer's answer is read behind its activation."""

_DROPOUTS = (nn.Dropout, nn.Dropout2d, MaskingDropout)
_IN_PLACE_OF_EACH_PIXEL = (*ACTIVATIONS, *_DROPOUTS, nn.Identity, nn.BatchNorm2d, nn.LocalResponseNorm, ResponseNorm)
_LARGEST_MEASURED_PX = 256


@dataclass(frozen=True)
class Axis:
    """The pixels that a place of a map sees along one side: `size` of them from `first + place * step`."""

    size: int
    first: int = 0
    step: int = 1

    def behind(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> Axis:
        """The pixels that a place of the next layer sees."""
        size = self.size + dilation * (kernel - 1) * self.step
        return Axis(size, self.first - padding * self.step, self.step * stride)

    def span(self, place: int) -> tuple[int, int]:
        """First pixel, and the one behind the last; they may lie outside the image."""
        start = self.first + place * self.step
        return start, start + self.size


@dataclass(frozen=True)
class Field:
    """Receptive field: the part of the image that a place of a map sees, exactly."""

    rows: Axis
    columns: Axis

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Top, left, bottom, right in pixels, the latter two exclusive; they may lie outside the image."""
        (top, bottom), (left, right) = self.rows.span(row), self.columns.span(column)
        return top, left, bottom, right


def forward(model: nn.Module, x_NCHW: Tensor) -> None:
    """One pass in eval mode without gradients, on the device of the weights; the mode is put back afterwards."""
    first = next(model.parameters(), None)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(x_NCHW if first is None else x_NCHW.to(first.device))
    finally:
        model.train(was_training)


def computed_fields(model: ConvNet) -> dict[str, Field]:
    """What a place sees behind each layer of `model.features`, by path, up to the first that is of no known kind."""
    fields: dict[str, Field] = {}
    field = Field(Axis(1), Axis(1))
    for name, layer in model.features.named_children():
        axes = [_behind(axis, layer, which) for which, axis in enumerate((field.rows, field.columns))]
        if axes[0] is None or axes[1] is None:
            break
        field = Field(axes[0], axes[1])
        fields[f"features.{name}"] = field
    return fields


def _behind(axis: Axis, layer: nn.Module, which: int) -> Axis | None:
    """`axis` behind `layer`; `which` is 0 for rows, 1 for columns."""
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        if isinstance(layer.padding, str):
            return None
        kernel, stride, padding = (_side(v, which) for v in (layer.kernel_size, layer.stride, layer.padding))
        return axis.behind(kernel, stride, padding, _side(getattr(layer, "dilation", 1), which))
    if isinstance(layer, nn.ZeroPad2d):
        before = layer.padding[0 if which == 1 else 2]  # left, right, top, bottom
        return axis.behind(1, 1, before)
    if isinstance(layer, WithinMapNorm):
        return axis.behind(5, 1, 2)
    return axis if isinstance(layer, (*_IN_PLACE_OF_EACH_PIXEL, TowersNorm)) else None


def _side(value: Any, which: int) -> int:
    return int(value[which] if isinstance(value, tuple) else value)


def measured_fields(
    model: nn.Module, reads: Sequence[Key], in_channels: int, image_px: int
) -> dict[Key, Field | None]:
    """Receptive fields of any module, found by trial: what a not-a-number in the image makes one of in the maps.

    Whatever the values of the weights, a row of such pixels reaches just those places of a map that see it.

    Args:
        model: the network; a copy on the CPU is tried.
        reads: paths of the modules whose outputs are the maps, and which call of each.
        in_channels: channels of the input.
        image_px: its side; larger ones than 256 px are not tried.

    Returns:
        for each of `reads` the field; None where it is as large as the image or no place's field lies inside it.
    """
    if image_px > _LARGEST_MEASURED_PX:
        return dict.fromkeys(reads)
    trial = copy.deepcopy(model).cpu().float()
    axes = [_measured_axes(trial, reads, in_channels, image_px, which) for which in (0, 1)]
    return {
        key: Field(rows, columns)
        if (rows := axes[0][key]) is not None and (columns := axes[1][key]) is not None
        else None
        for key in reads
    }


def _measured_axes(
    model: nn.Module, reads: Sequence[Key], in_channels: int, image_px: int, which: int
) -> dict[Key, Axis | None]:
    reached: dict[Key, list[Tensor]] = {key: [] for key in reads}
    # Fast convolutions (Winograd's, in oneDNN and NNPACK) would spread one pixel over a whole tile.
    with reading(model, reads) as seen, _exact_convolutions():
        for some in torch.split(torch.arange(image_px), 16):
            x_NCHW = torch.zeros(len(some), in_channels, image_px, image_px)
            for i, line in enumerate(some.tolist()):
                x_NCHW.select(2 + which, line)[i] = torch.nan
            forward(model, x_NCHW)
            for key in reads:
                maps = seen[key]
                if maps.ndim == 4:
                    reached[key].append(maps.isnan().any(1).any(2 - which))  # [rows tried, places]
            seen.clear()
    return {key: _axis(torch.cat(parts)) if parts else None for key, parts in reached.items()}


@contextmanager
def _exact_convolutions() -> Iterator[None]:
    before = torch._C._get_mkldnn_enabled(), torch._C._get_nnpack_enabled()
    torch._C._set_mkldnn_enabled(False)  # `torch.backends.mkldnn.flags` would touch TF32 too, and warn of it
    torch._C._set_nnpack_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before[0])
        torch._C._set_nnpack_enabled(before[1])


def _axis(reached_LP: Tensor) -> Axis | None:
    """The pixels each place sees, from which of L lines of pixels reach which of P places."""
    L, P = reached_LP.shape
    if not bool(reached_LP.any(0).all()):
        return None
    first_P = reached_LP.int().argmax(0)
    last_P = L - 1 - reached_LP.flip(0).int().argmax(0)
    size_P = last_P - first_P + 1
    whole = [p for p in range(P) if size_P[p] == size_P.max() and first_P[p] > 0 and last_P[p] < L - 1]
    if len(whole) > 1:  # fields that lie inside the image; those at its edge are cut, or have gaps where it is padded
        return _line([(p, int(first_P[p])) for p in whole], [(p, int(last_P[p])) for p in whole])
    # Fields so large that each is cut on one side at least: their two ends are taken from different places.
    return _line(
        [(p, int(first_P[p])) for p in range(P) if first_P[p] > 0],
        [(p, int(last_P[p])) for p in range(P) if last_P[p] < L - 1],
    )


def _line(firsts: list[tuple[int, int]], lasts: list[tuple[int, int]]) -> Axis | None:
    """The axis whose first and last pixels at some places these are; None where they lie on no line."""
    steps = {(b[1] - a[1]) / (b[0] - a[0]) for line in (firsts, lasts) for a, b in itertools.pairwise(line)}
    if not firsts or not lasts or len(steps) != 1 or not (step := steps.pop()).is_integer():
        return None
    first = firsts[0][1] - firsts[0][0] * int(step)
    last = lasts[0][1] - lasts[0][0] * int(step)
    return Axis(last - first + 1, first, int(step))
