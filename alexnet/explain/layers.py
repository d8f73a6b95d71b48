"""A network described by its layers: where each one's answer is read, and which part of the image each place sees.

Layers are found by type (`nn.Conv2d`, `nn.Linear`) in the order in which a forward pass calls them, so any module of
a user's own is described as well as the networks of `alexnet.models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from alexnet.explain.fields import ACTIVATIONS, Axis, Field, computed_fields, forward, measured_fields
from alexnet.explain.reading import Key
from alexnet.models import ConvNet
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import TowersNorm, WithinMapNorm

__all__ = ["Axis", "Field", "Layer", "describe", "towers_of"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LocalResponseNorm, ResponseNorm, TowersNorm, WithinMapNorm)
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


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
        forward(model, torch.zeros(1, in_channels, image_px, image_px))
    finally:
        for hook in hooks:
            hook.remove()
    return steps


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


def _fields(model: nn.Module, reads: Sequence[Key], in_channels: int, image_px: int) -> dict[Key, Field | None]:
    if isinstance(model, ConvNet):
        known = computed_fields(model)
        if all(path in known for path, _ in reads if path.startswith("features.")):
            return {(path, call): known.get(path) for path, call in reads}
    return measured_fields(model, reads, in_channels, image_px)
