"""Weights of other frameworks, brought into a network of ours by order and shape."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alexnet import models
from alexnet.card import ModelCard, Preprocessing
from alexnet.errors import UserError
from alexnet.models import ConvNet
from alexnet.models._build import maps_px
from alexnet.weights._files import Format, detect, read_file, sha256_of
from alexnet.weights._fit import empty_net, mismatches
from alexnet.weights.mxnet import read_params
from alexnet.weights.native import is_native, read_tensors
from alexnet.weights.torchvision import read_state_dict

_FORMAT_NAMES: dict[Format, str] = {
    "mxnet": "MXNet NDArray",
    "torch": "PyTorch state dict",
    "safetensors": "safetensors",
}
_LARGEST_PX = 1024  # images tried when the size is worked out from the first dense layer


def convert(
    source: str | Path,
    model_name: str,
    class_names: Sequence[str] | None,
    *,
    options: dict[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_px: int | None = None,
) -> tuple[ConvNet, ModelCard]:
    """The network `model_name` with the weights of another framework's file, in eval mode, and its card.

    The file is an MXNet NDArray file, a PyTorch state dict or a foreign `.safetensors`, found by its content. Its
    layers are the pairs NAME.weight, NAME.bias (or NAME_weight, NAME_bias), convolutions before dense layers and
    each kind in the order of the names, numbers counted as numbers; they go to the network's layers in turn.

    Args:
        source: the file.
        model_name: a name of `alexnet.models`.
        class_names: name of each output, in order; None: their numbers.
        options: arguments of the network, such as `activation`, which weights do not hold. `num_classes`,
            `in_channels` and `image_px` are worked out from the shapes where they are not given.
        mean: what was subtracted from each channel of the pixels (0..1) the weights were trained on.
        std: what each channel was then divided by. Without `mean` and `std`, those are 0 and 1 for MXNet
            (`ToTensor` alone) and the network's usual ones otherwise.
        resize_px: side that images are brought to before the network's input is cut out; None: the input's own.

    Raises:
        UserError: the file is missing, damaged, native already or of no known format; its layers do not fit
            (listed side by side); or the class names are not as many as the outputs.
    """
    source = Path(source)
    if isinstance(class_names, str):
        raise UserError("class_names is a list of names, not one string")
    facts = models.facts(model_name)
    kind, tensors = _read(source)
    layers = _pair(source, tensors)
    chosen = _choose_options(model_name, layers, options or {})
    model = empty_net(model_name, chosen)
    if models.has_batch_norm(model):
        raise UserError(f"{model_name} is this package's own network: nothing else writes weights for it")
    _fill(model, layers, source, model_name)
    class_names = tuple(map(str, range(chosen["num_classes"]))) if class_names is None else class_names
    if len(class_names) != chosen["num_classes"]:
        raise UserError(
            f"{source} has {chosen['num_classes']} outputs, and {len(class_names)} class names were given: "
            "name each output once, in order"
        )
    if mean is None and std is None:
        mean, std = _default_scaling(kind, chosen["in_channels"], facts)
    elif mean is None or std is None:
        raise UserError("give both mean and std, or neither")
    card = ModelCard(
        model=model_name,
        options=chosen,
        class_names=tuple(class_names),
        preprocessing=Preprocessing(
            image_px=chosen["image_px"],
            in_channels=chosen["in_channels"],
            mean=tuple(mean),
            std=tuple(std),
            resize_px=resize_px,
        ),
        source=f"{source.name} ({_FORMAT_NAMES[kind]}, sha256 {sha256_of(source)})",
    )
    return model.eval(), card


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Class names from a text file, one a line (blank lines do not count), or from a JSON list of strings.

    Raises:
        UserError: the file is missing, is not UTF-8, names nothing, or is JSON other than a list of strings.
    """
    path = Path(path)
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: class names come one a line, or as a JSON list") from None
    if text.lstrip().startswith(("[", "{")):
        try:
            names = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{path} must be a JSON list of strings")
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path} names no class")
    return tuple(names)


@dataclass(frozen=True)
class _Layer:
    """A convolution or dense layer of the file."""

    weight_name: str
    weight: Tensor
    bias_name: str
    bias: Tensor


def _read(source: Path) -> tuple[Format, dict[str, Tensor]]:
    kind = detect(source)
    if kind is None:
        raise UserError(
            f"{source} is neither an MXNet .params, a PyTorch .pth nor a .safetensors file, or is damaged"
        )
    if kind == "mxnet":
        return kind, {name: torch.from_numpy(array) for name, array in read_params(source).items()}
    if kind == "torch":
        return kind, read_state_dict(source)
    if is_native(source):
        raise UserError(f"{source} is in the native format already: use it as it is")
    return kind, read_tensors(source)


def _pair(source: Path, tensors: dict[str, Tensor]) -> list[_Layer]:
    """The file's layers in their order; raises `UserError` for anything that is no weight with its bias."""
    parts: dict[str, dict[str, str]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(?:(.*)[._])?(weight|bias)", name, re.DOTALL)
        if not match:
            raise UserError(
                f"{source}: {name!r} is neither a weight nor a bias; "
                "only nets of convolutions and dense layers can be converted"
            )
        if not tensor.is_floating_point():
            raise UserError(f"{source}: {name!r} holds {tensor.dtype}, not floating-point numbers: a quantised net?")
        parts.setdefault(match[1] or "", {})[match[2]] = name
    layers = []
    # A classifier sorts before features: convolutions, with their four dimensions, go first.
    for stem in sorted(parts, key=lambda stem: (-_ndim(parts[stem], tensors), _natural(stem))):
        names = parts[stem]
        if len(names) < 2:
            lacking = "bias" if "weight" in names else "weight"
            raise UserError(f"{source}: {stem!r} has no {lacking}; every layer here has a weight and a bias")
        layers.append(_Layer(names["weight"], tensors[names["weight"]], names["bias"], tensors[names["bias"]]))
    return layers


def _ndim(names: dict[str, str], tensors: dict[str, Tensor]) -> int:
    return tensors[names["weight"]].ndim if "weight" in names else 0


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which conv9 comes before conv10; digits stay text, for int() refuses very long ones."""
    key = []
    for position, part in enumerate(re.split(r"([0-9]+)", name)):
        digits = part.lstrip("0")
        key.append((len(digits), digits) if position % 2 else (0, part))
    return key


def _choose_options(model_name: str, layers: list[_Layer], given: dict[str, Any]) -> dict[str, Any]:
    """All arguments of the network: those given, those the shapes imply, then its own defaults."""
    build = getattr(models, model_name)
    chosen = {name: parameter.default for name, parameter in inspect.signature(build).parameters.items()}
    unknown = sorted(set(given) - set(chosen))
    if unknown:
        raise UserError(f"{model_name} takes no option {', '.join(unknown)}: it knows {', '.join(chosen)}")
    if layers and layers[-1].weight.ndim == 2:
        chosen["num_classes"] = layers[-1].weight.shape[0]
    if layers and layers[0].weight.ndim == 4:
        chosen["in_channels"] = layers[0].weight.shape[1]
    dense = next((layer.weight for layer in layers if layer.weight.ndim == 2), None)
    if dense is not None:
        chosen["image_px"] = _infer_px(model_name, dense.shape[1])
    return chosen | given


def _infer_px(model_name: str, inputs: int) -> int:
    """Side of the images whose maps, flattened, have `inputs` values: the native one, else the smallest.

    The native side as well where no image gives that many: the shapes then disagree, and are listed.
    """
    native_px = models.facts(model_name).native_px
    features = empty_net(model_name, {}).features
    maps = [layer.out_channels for layer in features if isinstance(layer, nn.Conv2d)][-1]
    side = math.isqrt(inputs // maps)
    if side * side * maps != inputs or maps_px(features, native_px) == side:
        return native_px
    return next((px for px in range(1, _LARGEST_PX + 1) if maps_px(features, px) == side), native_px)


def _fill(model: ConvNet, layers: list[_Layer], source: Path, model_name: str) -> None:
    """Give the layers' values, as fp32, to `model`, which is on the meta device; raises `UserError` on misfit."""
    expected = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    values = []
    found = []
    for layer in layers:
        for name, tensor in ((layer.weight_name, layer.weight), (layer.bias_name, layer.bias)):
            values.append(tensor)
            found.append((name, tuple(tensor.shape)))
    table = mismatches(expected, found)
    if table:
        ours, theirs = len(expected) // 2, len(layers)
        count = f"it has {theirs} layers, not {ours}" if ours != theirs else "shapes differ"
        raise UserError(f"{source} does not fit {model_name}: {count}\n{table}")
    state = {
        name: tensor.detach().to(torch.float32, copy=True).contiguous()
        for (name, _), tensor in zip(expected, values, strict=True)
    }
    model.load_state_dict(state, assign=True)


def _default_scaling(
    kind: Format, in_channels: int, facts: models.ModelFacts
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation the file's weights were most likely trained with."""
    if kind == "mxnet":  # Gluon's ToTensor scales to 0..1 and does no more
        return (0.0,) * in_channels, (1.0,) * in_channels
    if in_channels != len(facts.mean):
        raise UserError(f"give the mean and std of the {in_channels} channels the weights were trained on")
    return facts.mean, facts.std
