"""A network as a list of operations, which the page computes, and the tensors they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.models import ConvNet
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import MaskingDropout, TowersNorm, WithinMapNorm
from alexnet.models.pipelines.pipeline import Pipeline

_HIDDEN = ("flatten", "dropout")
"""Operations that change no picture of a level."""


@dataclass(frozen=True)
class Description:
    """What the page is told of a network."""

    ops: list[dict[str, Any]] = field(default_factory=list)
    """In order; `op` says which operation, `name` the layer."""
    tensors: list[Tensor] = field(default_factory=list)
    """fp32, on the CPU, contiguous; operations name them by position."""
    modules: list[nn.Module] = field(default_factory=list)
    """The layer of each operation; of `flatten`, an `nn.Flatten`."""

    def keep(self, tensor: Tensor | None) -> int | None:
        """Position of a tensor that is now kept."""
        if tensor is None:
            return None
        self.tensors.append(tensor.detach().float().cpu().contiguous())
        return len(self.tensors) - 1

    def add(self, module: nn.Module, name: str, op: str, **values: Any) -> None:
        """Append an operation."""
        self.ops.append({"op": op, "name": name, **values})
        self.modules.append(module)


def describe(model: nn.Module) -> Description:
    """The operations of `model`, a network of ours or an `nn.Sequential` of known layers.

    Raises:
        UserError: it is another kind of module, or has a layer that the page cannot compute.
    """
    found = Description()
    for name, layer in _layers(model):
        _add(found, name.rpartition(".")[2] if "." in name else name, layer)
    return found


def levels(ops: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Operations in groups that each begin with a convolution or a dense layer, whose name the group has.

    Returns:
        `name`, `kind` (maps or units), `first` and `last`, positions in `ops`, and `shown`, the last operation whose
        output is worth a picture. Operations before the first group belong to it.
    """
    groups: list[dict[str, Any]] = []
    for i, op in enumerate(ops):
        if op["op"] in ("conv", "dense"):
            first = i if groups else 0
            groups.append({"name": op["name"], "kind": "maps" if op["op"] == "conv" else "units", "first": first})
        if groups:
            groups[-1]["last"] = i
            if op["op"] not in _HIDDEN:
                groups[-1]["shown"] = i
    return groups


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(model, Pipeline):
        raise UserError(
            "hand-made features have no levels that a page could show: export a network, see `alexnet models`"
        )
    if isinstance(model, ConvNet):
        yield from _layers(model.features)
        yield "flatten", nn.Flatten()
        yield from _layers(model.classifier)
    elif isinstance(model, nn.Sequential):
        for name, layer in model.named_children():
            if isinstance(layer, nn.Sequential):
                yield from ((f"{name}.{inner}", each) for inner, each in _layers(layer))
            else:
                yield name, layer
    else:
        raise UserError(
            f"the explorer computes networks of alexnet and nn.Sequential, not {type(model).__name__}: "
            "its steps cannot be read from its layers"
        )


def _add(found: Description, name: str, layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        _add_convolution(found, name, layer)
    elif isinstance(layer, nn.Linear):
        found.add(
            layer,
            name,
            "dense",
            out=layer.out_features,
            weight=found.keep(layer.weight),
            bias=found.keep(layer.bias),
        )
    elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
        _add_batch_norm(found, name, layer)
    elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
        _add_pool(found, name, layer)
    elif isinstance(layer, ResponseNorm | TowersNorm | nn.LocalResponseNorm | WithinMapNorm):
        _add_response_norm(found, name, layer)
    elif isinstance(layer, nn.ZeroPad2d):
        left, right, top, bottom = layer.padding
        found.add(layer, name, "pad", left=left, right=right, top=top, bottom=bottom)
    elif isinstance(layer, nn.Dropout | nn.Dropout2d | MaskingDropout):
        masking, maps = isinstance(layer, MaskingDropout), isinstance(layer, nn.Dropout2d)
        if layer.p > 0:
            found.add(layer, name, "dropout", p=layer.p, masking=masking, whole_maps=maps)
    elif isinstance(layer, nn.Flatten):
        if (layer.start_dim, layer.end_dim) != (1, -1):
            raise UserError(f"{name}: the page flattens all but the batch, not {layer}")
        found.add(layer, name, "flatten")
    elif not isinstance(layer, nn.Identity):
        found.add(layer, name, "activation", **_activation(name, layer))


def _activation(name: str, layer: nn.Module) -> dict[str, Any]:
    if isinstance(layer, nn.ReLU):
        return {"kind": "relu"}
    if isinstance(layer, nn.Tanh):
        return {"kind": "tanh"}
    if isinstance(layer, nn.Sigmoid):
        return {"kind": "sigmoid"}
    if isinstance(layer, nn.ELU):
        return {"kind": "elu", "alpha": layer.alpha}
    if isinstance(layer, nn.LeakyReLU):
        return {"kind": "leaky_relu", "slope": layer.negative_slope}
    if isinstance(layer, nn.GELU) and layer.approximate == "none":
        return {"kind": "gelu"}
    raise UserError(f"{name} is {layer}, a layer that the page cannot compute")


def _add_convolution(found: Description, name: str, layer: nn.Conv2d) -> None:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise UserError(f"{name}: the page pads convolutions with zeros, by numbers, not {layer.padding_mode!r}")
    found.add(
        layer,
        name,
        "conv",
        out=layer.out_channels,
        kernel=_pair(layer.kernel_size),
        stride=_pair(layer.stride),
        padding=_pair(layer.padding),
        dilation=_pair(layer.dilation),
        groups=layer.groups,
        weight=found.keep(layer.weight),
        bias=found.keep(layer.bias),
    )


def _add_batch_norm(found: Description, name: str, layer: nn.BatchNorm2d | nn.BatchNorm1d) -> None:
    if layer.running_mean is None or layer.running_var is None:
        raise UserError(f"{name} keeps no statistics, so that one image alone has no answer")
    mean_C, variance_C = layer.running_mean.double(), layer.running_var.double()
    scale_C = (variance_C + layer.eps).rsqrt()
    if layer.weight is not None:
        scale_C = scale_C * layer.weight.detach().double()
    shift_C = -mean_C * scale_C
    if layer.bias is not None:
        shift_C = shift_C + layer.bias.detach().double()
    found.add(layer, name, "affine", scale=found.keep(scale_C), shift=found.keep(shift_C))


def _add_pool(
    found: Description,
    name: str,
    layer: nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d,
) -> None:
    if isinstance(layer, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
        kind = "max" if isinstance(layer, nn.AdaptiveMaxPool2d) else "mean"
        size: Any = layer.output_size
        out = list(size) if isinstance(size, tuple) else [size, size]
        found.add(layer, name, "adaptive_pool", kind=kind, out=out)
        return
    stride = layer.kernel_size if layer.stride is None else layer.stride
    window: dict[str, Any] = {
        "kernel": _pair(layer.kernel_size),
        "stride": _pair(stride),
        "padding": _pair(layer.padding),
        "ceil": layer.ceil_mode,
    }
    if isinstance(layer, nn.MaxPool2d):
        found.add(layer, name, "max_pool", **window, dilation=_pair(layer.dilation))
        return
    if layer.divisor_override is not None:
        raise UserError(f"{name}: the page divides a mean by its number of values, not by {layer.divisor_override}")
    found.add(layer, name, "mean_pool", **window, count_padding=layer.count_include_pad)


def _add_response_norm(
    found: Description, name: str, layer: ResponseNorm | TowersNorm | nn.LocalResponseNorm | WithinMapNorm
) -> None:
    if isinstance(layer, WithinMapNorm):
        found.add(layer, name, "within_norm", size=5, alpha=1e-3 / 25, beta=0.75)
    elif isinstance(layer, TowersNorm):
        found.add(layer, name, "response_norm", size=5, alpha=1e-4 / 5, beta=0.75, k=2.0, parts=2)
    elif isinstance(layer, ResponseNorm):
        found.add(layer, name, "response_norm", size=5, alpha=layer.alpha, beta=0.75, k=2.0, parts=1)
    else:
        alpha = layer.alpha / layer.size
        found.add(layer, name, "response_norm", size=layer.size, alpha=alpha, beta=layer.beta, k=layer.k, parts=1)


def _pair(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, tuple) else [int(value)] * 2


def trace(found: Description, x_NCHW: Tensor) -> list[Tensor]:
    """Output of each operation for images that are the network's input, in eval mode, by running its layers."""
    outputs = []
    with torch.inference_mode():
        for layer in found.modules:
            x_NCHW = layer(x_NCHW)
            outputs.append(x_NCHW)
    return outputs
