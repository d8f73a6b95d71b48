"""A network of ours as the layers of one Gluon `HybridSequential`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from alexnet.errors import UserError
from alexnet.export.network import Windows, fixed_pool
from alexnet.models import ConvNet
from alexnet.models._build import maps_px
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import MaskingDropout, TowersNorm, WithinMapNorm

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "nn.Activation('relu')",
    nn.Tanh: "nn.Activation('tanh')",
    nn.Sigmoid: "nn.Activation('sigmoid')",
    nn.GELU: "nn.GELU()",
    nn.ELU: "nn.ELU(1.0)",
    nn.LeakyReLU: "nn.LeakyReLU(0.01)",
}


@dataclass(frozen=True)
class Layer:
    """One layer."""

    name: str
    """Ours, such as conv1."""
    position: int
    """Gluon's, counted from 0."""
    module: nn.Module
    gluon: str
    """What makes it in Gluon, where `nn` is `mxnet.gluon.nn`."""


def layers_of(model: nn.Module, image_px: int) -> list[Layer]:
    """The layers in order, for images of `image_px`.

    Raises:
        UserError: Gluon has no such layer.
    """
    assert isinstance(model, ConvNet)
    found: list[Layer] = []
    before = nn.Sequential()

    def add(name: str, module: nn.Module, gluon: str) -> None:
        found.append(Layer(name, len(found), module, gluon))

    for name, layer in model.features.named_children():
        add(name, layer, _gluon(name, layer, maps_px(before, image_px)))
        before.append(layer)
    add("flatten", nn.Flatten(), "nn.Flatten()")
    for name, layer in model.classifier.named_children():
        add(name, layer, _gluon(name, layer, 0))
    return found


def source_of(layers: list[Layer]) -> str:
    """Python that makes the network in Gluon as `net`, to call `net.load_parameters(FILE)` on."""
    lines = ["from mxnet.gluon import nn", "net = nn.HybridSequential()"]
    return "\n".join([*lines, *(f"net.add({layer.gluon})" for layer in layers)])


def _gluon(name: str, layer: nn.Module, side: int) -> str:
    if type(layer) in _ACTIVATIONS:
        return _ACTIVATIONS[type(layer)]
    if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        layer = fixed_pool(layer, side)
        if isinstance(layer, Windows):
            raise UserError(f"Gluon has no pooling like {name} for maps of {side} px")
    match layer:
        case nn.Conv2d():
            return (
                f"nn.Conv2D({layer.out_channels}, {_pair(layer.kernel_size)}, {_pair(layer.stride)}, "
                f"{_pair(layer.padding)}, groups={layer.groups}, in_channels={layer.in_channels}, "
                f"use_bias={layer.bias is not None})"
            )
        case nn.Linear():
            return f"nn.Dense({layer.out_features}, in_units={layer.in_features}, use_bias={layer.bias is not None})"
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "MaxPool2D" if isinstance(layer, nn.MaxPool2d) else "AvgPool2D"
            size = f"{_pair(layer.kernel_size)}, {_pair(layer.stride)}, {_pair(layer.padding)}"
            return f"nn.{kind}({size}, ceil_mode={bool(layer.ceil_mode)})"
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return f"nn.BatchNorm(epsilon={layer.eps!r}, in_channels={layer.num_features})"
        case nn.Dropout():
            return f"nn.Dropout({layer.p})"
        case nn.Identity():
            return "nn.HybridLambda('identity')"
        case ResponseNorm():
            values = f"alpha={5 * layer.alpha!r}, beta=0.75, knorm={layer.k!r}, nsize=5"
            return f"nn.HybridLambda(lambda F, x: F.LRN(x, {values}))"
        case TowersNorm():
            return (
                "nn.HybridLambda(lambda F, x: F.concat(*[F.LRN(part, alpha=1e-4, beta=0.75, knorm=2, nsize=5) "
                "for part in F.split(x, 2)], dim=1))"
            )
        case nn.ZeroPad2d():
            left, right, top, bottom = layer.padding
            pad = (0, 0, 0, 0, top, bottom, left, right)
            return f"nn.HybridLambda(lambda F, x: F.pad(x, mode='constant', pad_width={pad}, constant_value=0))"
        case WithinMapNorm():
            window = "kernel=(5, 5), stride=(1, 1), pad=(2, 2), pool_type='avg'"
            return f"nn.HybridLambda(lambda F, x: x * (1 + 1e-3 * F.Pooling(x * x, {window})) ** -0.75)"
        case MaskingDropout():
            return f"nn.HybridLambda(lambda F, x: F.Dropout(x, p={layer.p}) * {1 - layer.p})"
    raise UserError(f"Gluon has no layer like {name}, a {type(layer).__name__}: choose another format")


def _pair(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
