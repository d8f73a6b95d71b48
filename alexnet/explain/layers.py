"""A network described by its layers: where each one's answer is read, and which part of the image each place sees.

Layers are found by type (`nn.Conv2d`, `nn.Linear`) in the order in which a forward pass calls them, so any module of
a user's own is described as well as the networks of `alexnet.models`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

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

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LocalResponseNorm, ResponseNorm, TowersNorm, WithinMapNorm)
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)
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


@dataclass(frozen=True)
class Layer:
    """A convolution or a dense layer, with the activation behind it."""

    name: str
    """What it is called: the last part of its path, or the whole where that is taken."""
    path: str
    """Of the module that holds the weights, as `named_modules` has it."""
    read: str
    """Of the module whose output is the layer's answer: its activation, or the layer itself where there is none."""
    call: int
    """Which call of `read` in a forward pass, from 0: some networks use one activation module many times."""
    kind: Literal["conv", "dense"]
    channels: int
    """Maps of a convolution, units of a dense layer."""
    map_px: tuple[int, int]
    """Height and width of the maps that are read; (1, 1) for a dense layer."""
    field: Field | None
    """None where a place sees the whole image, as a dense layer's units do."""
    macs: int
    """Multiply-adds of the layer itself for one image."""
    groups: int
    """Equal parts of the channels that are computed apart (Krizhevsky 2012, 3.2: two GPUs)."""
    is_last: bool
    """Whether it gives the scores."""

    @property
    def field_px(self) -> tuple[int, int] | None:
        """Height and width of the receptive field; None: the whole image."""
        return None if self.field is None else (self.field.rows.size, self.field.columns.size)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        field = None
        if self.field is not None:
            rows, columns = self.field.rows, self.field.columns
            field = {
                "size_px": [rows.size, columns.size],
                "first_px": [rows.first, columns.first],
                "step_px": [rows.step, columns.step],
            }
        return {
            "name": self.name,
            "path": self.path,
            "read": self.read,
            "call": self.call,
            "kind": self.kind,
            "channels": self.channels,
            "map_px": list(self.map_px),
            "receptive_field": field,
            "macs": self.macs,
            "groups": self.groups,
            "is_last": self.is_last,
        }


@dataclass(frozen=True)
class _Step:
    """One call of a module without children."""

    path: str
    module: nn.Module
    call: int
    taken: Tensor
    given: Tensor


def describe(model: nn.Module, in_channels: int, image_px: int) -> tuple[Layer, ...]:
    """The convolutions and dense layers of `model` in the order of a forward pass.

    Layers whose answers are neither maps [N, C, H, W] nor units [N, C] are left out. The receptive fields of networks
    of ours follow from their layers' kernels, strides and paddings; those of other modules are measured, see
    `measured_fields`.

    Args:
        model: the network, on any device; its mode is put back afterwards.
        in_channels: channels of its input.
        image_px: side of its square input.
    """
    steps = _forward_steps(model, in_channels, image_px)
    weighted = [step for step in steps if isinstance(step.module, nn.Conv2d | nn.Linear)]
    names = [step.path.rpartition(".")[2] for step in weighted]
    found: list[tuple[_Step, _Step]] = []
    for step in weighted:
        read = _answer_of(step, steps)
        if read.given.ndim in (2, 4):
            found.append((step, read))
    fields = _fields(model, [(read.path, read.call) for _, read in found], in_channels, image_px)
    layers = []
    for step, read in found:
        name = step.path.rpartition(".")[2]
        own: Any = step.module
        is_map = read.given.ndim == 4
        layers.append(
            Layer(
                name=name if names.count(name) == 1 else step.path,
                path=step.path,
                read=read.path,
                call=read.call,
                kind="conv" if is_map else "dense",
                channels=int(read.given.shape[1]),
                map_px=(int(read.given.shape[2]), int(read.given.shape[3])) if is_map else (1, 1),
                field=fields.get((read.path, read.call)) if is_map else None,
                macs=step.given[0].numel() * own.weight[0].numel(),
                groups=int(getattr(own, "groups", 1)),
                is_last=step is weighted[-1],
            )
        )
    return tuple(layers)


def towers_of(layers: Sequence[Layer]) -> int:
    """Equal parts of the first layer's channels that the second layer sees apart; 1 where it sees all of them."""
    return layers[1].groups if len(layers) > 1 and layers[0].kind == layers[1].kind == "conv" else 1


def _forward_steps(model: nn.Module, in_channels: int, image_px: int) -> list[_Step]:
    steps: list[_Step] = []
    calls: dict[str, int] = {}

    def keep(path: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            call = calls[path] = calls.get(path, -1) + 1
            if isinstance(output, Tensor) and inputs and isinstance(inputs[0], Tensor):
                steps.append(_Step(path, module, call, inputs[0], output))

        return hook

    leaves = [(path, module) for path, module in model.named_modules() if not any(module.children())]
    hooks = [module.register_forward_hook(keep(path)) for path, module in leaves]
    try:
        _forward(model, torch.zeros(1, in_channels, image_px, image_px))
    finally:
        for hook in hooks:
            hook.remove()
    return steps


def _forward(model: nn.Module, x_NCHW: Tensor) -> None:
    first = next(model.parameters(), None)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(x_NCHW if first is None else x_NCHW.to(first.device))
    finally:
        model.train(was_training)


def _answer_of(step: _Step, steps: Sequence[_Step]) -> _Step:
    """The call whose output is the answer of `step`: of the activation that follows it, else of its norm."""
    read = current = step
    later = steps[steps.index(step) + 1 :]
    while True:
        behind = next((s for s in later if s.taken is current.given), None)
        if behind is None or not isinstance(behind.module, (*ACTIVATIONS, *_NORMS, *_POOLS)):
            return read
        current = behind
        if isinstance(behind.module, ACTIVATIONS):
            return behind
        if isinstance(behind.module, _NORMS) and read is step:
            read = behind
        if isinstance(behind.module, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
            return read


def _fields(
    model: nn.Module, reads: Sequence[tuple[str, int]], in_channels: int, image_px: int
) -> dict[tuple[str, int], Field | None]:
    if isinstance(model, ConvNet):
        known = computed_fields(model)
        if all(path in known for path, _ in reads if path.startswith("features.")):
            return {(path, call): known.get(path) for path, call in reads}
    return measured_fields(model, reads, in_channels, image_px)


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
    model: nn.Module, reads: Sequence[tuple[str, int]], in_channels: int, image_px: int
) -> dict[tuple[str, int], Field | None]:
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
    model: nn.Module, reads: Sequence[tuple[str, int]], in_channels: int, image_px: int, which: int
) -> dict[tuple[str, int], Axis | None]:
    from alexnet.explain.reading import reading

    reached: dict[tuple[str, int], list[Tensor]] = {key: [] for key in reads}
    # Fast convolutions (Winograd's, in oneDNN and NNPACK) would spread one pixel over a whole tile.
    with reading(model, reads) as seen, _exact_convolutions():
        for some in torch.split(torch.arange(image_px), 16):
            x_NCHW = torch.zeros(len(some), in_channels, image_px, image_px)
            for i, line in enumerate(some.tolist()):
                x_NCHW.select(2 + which, line)[i] = torch.nan
            _forward(model, x_NCHW)
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
    # A field that begins at the first pixel may be cut there, and likewise at the last.
    inner_first = [(p, int(first_P[p])) for p in range(P) if first_P[p] > 0]
    inner_last = [(p, int(last_P[p])) for p in range(P) if last_P[p] < L - 1]
    steps = {(b[1] - a[1]) / (b[0] - a[0]) for line in (inner_first, inner_last) for a, b in itertools.pairwise(line)}
    if not inner_first or not inner_last or len(steps) != 1 or not (step := steps.pop()).is_integer():
        return None
    first = inner_first[0][1] - inner_first[0][0] * int(step)
    last = inner_last[0][1] - inner_last[0][0] * int(step)
    return Axis(last - first + 1, first, int(step))
