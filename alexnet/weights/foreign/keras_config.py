"""The description of a net that Keras writes as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from alexnet.errors import UserError
from alexnet.weights.foreign.net import Kind, Step

_WITHOUT_EFFECT = {"Dropout", "SpatialDropout2D", "Softmax", "GaussianNoise", "RandomFlip", "RandomCrop"}
_FUNCTIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "elu": "elu", "gelu": "gelu"}
_CONTAINERS = {"Sequential", "Functional", "Model"}
_LARGEST = 1 << 14
_DEEPEST = 8


@dataclass
class Described:
    """What a description says."""

    steps: list[Step] = field(default_factory=list)
    image_px: int | None = None
    scale: float | None = None
    """What pixels of 0..255 are multiplied by first; None: there is no such layer."""
    offset: float = 0.0
    """What is added then."""
    hides_something: bool = False
    """Whether a layer's work is code, so that `steps` are not all."""
    flattens_channels_first: bool = False


def describe(path: Path, config: Any) -> Described:
    """What `config`, the parsed JSON, says; raises `UserError` for layers that no AlexNet has."""
    reader = _Reader(path)
    reader.container(config, 0)
    reader.made.flattens_channels_first = reader.convolves_channels_first and not reader.flatten_knows
    return reader.made


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = Described()
        self.side = 0
        self.convolves_channels_first = self.flatten_knows = False
        self.padding = (0, 0)

    def fail(self, name: str, problem: str) -> NoReturn:
        raise UserError(f"{self.path}: layer {name!r} {problem}")

    def container(self, config: Any, depth: int) -> None:
        inner = config.get("config") if isinstance(config, dict) else None
        layers = inner.get("layers") if isinstance(inner, dict) else inner  # a list, in Keras 2.2 and before
        if not isinstance(layers, list) or depth > _DEEPEST or len(layers) > 1000:
            raise UserError(f"{self.path} describes no chain of layers: only Sequential and Functional nets are read")
        for layer in layers:
            kind, settings = (
                (layer.get("class_name"), layer.get("config")) if isinstance(layer, dict) else (None, None)
            )
            if not isinstance(kind, str) or not isinstance(settings, dict):
                raise UserError(f"{self.path} has a damaged description of its net")
            if kind in _CONTAINERS:
                self.container(layer, depth + 1)
            else:
                self.layer(kind, str(settings.get("name", kind)), settings)

    def layer(self, kind: str, name: str, settings: dict[str, Any]) -> None:
        self.take_shape(settings)
        if kind == "Conv2D":
            self.convolution(name, settings)
        elif kind == "MaxPooling2D":
            kernel = self.square(name, settings, "pool_size")
            stride = self.square(name, settings, "strides") if settings.get("strides") else kernel
            self.window("max pooling", name, settings, kernel, stride)
        elif kind == "Dense":
            self.step("dense", name)
            self.activation(name, settings.get("activation"))
        elif kind == "Activation":
            self.activation(name, settings.get("activation"))
        elif kind == "ReLU":
            self.activation(name, "relu")
        elif kind == "ZeroPadding2D":
            self.padding = self.pads(name, settings.get("padding"))
        elif kind == "Flatten":
            self.flatten_knows = settings.get("data_format") == "channels_first"
        elif kind == "Rescaling":
            scale: Any = settings.get("scale")
            offset: Any = settings.get("offset", 0.0)
            if self.made.steps or not _is_number(scale) or not _is_number(offset) or scale <= 0:
                self.fail(name, "rescales by no number, or not first")
            self.made.scale, self.made.offset = float(scale), float(offset)
        elif kind in ("Lambda", "TFOpLambda") or "." in kind or ">" in kind:
            self.made.hides_something = True  # one of the user's own, often response normalisation
        elif kind != "InputLayer" and kind not in _WITHOUT_EFFECT:
            self.fail(name, f"is a {kind}, which no AlexNet has: only nets of that family can be converted")

    def take_shape(self, settings: dict[str, Any]) -> None:
        shape = settings.get("batch_shape") or settings.get("batch_input_shape")
        if self.made.image_px is None and not self.made.steps and isinstance(shape, list) and len(shape) == 4:
            sides = shape[1:3] if shape[3] in (1, 3) else shape[2:]
            if sides[0] == sides[1] and isinstance(sides[0], int) and 0 < sides[0] < _LARGEST:
                self.made.image_px = self.side = sides[0]

    def convolution(self, name: str, settings: dict[str, Any]) -> None:
        self.convolves_channels_first = settings.get("data_format") == "channels_first"
        if settings.get("dilation_rate") not in (None, 1, [1, 1]):
            self.fail(name, "is dilated, as no layer of an AlexNet is")
        groups = settings.get("groups", 1)
        if not isinstance(groups, int) or not 0 < groups < _LARGEST:
            self.fail(name, "has groups that are no small whole number")
        kernel, stride = self.square(name, settings, "kernel_size"), self.square(name, settings, "strides")
        self.window("convolution", name, settings, kernel, stride, groups=groups)
        self.activation(name, settings.get("activation"))

    def window(
        self, kind: Kind, name: str, settings: dict[str, Any], kernel: int, stride: int, **more: float
    ) -> None:
        before, after = self.padding
        self.padding = (0, 0)
        if settings.get("padding", "valid") == "same":
            made = -(-self.side // stride)
            total = max(0, (made - 1) * stride + kernel - self.side) if self.side else kernel - 1
            before, after = before + total // 2, after + total - total // 2
        elif settings.get("padding", "valid") != "valid":
            self.fail(name, "pads neither as 'valid' nor as 'same'")
        self.side = max(0, (self.side + before + after - kernel) // stride + 1)
        self.step(kind, name, kernel=kernel, stride=stride, before=before, after=after, **more)

    def activation(self, name: str, function: Any) -> None:
        if isinstance(function, dict):
            function = function.get("class_name")
        if function in (None, "linear", "softmax", "log_softmax"):
            return
        if function not in _FUNCTIONS:
            self.made.hides_something = True
            return
        self.step("activation", name, function=_FUNCTIONS[function])

    def step(self, kind: Kind, name: str, **settings: float | str) -> None:
        self.made.steps.append(Step(kind, name, settings))

    def square(self, name: str, settings: dict[str, Any], key: str) -> int:
        value = settings.get(key, 1)
        both = value if isinstance(value, list) else [value, value]
        if len(both) != 2 or both[0] != both[1] or not isinstance(both[0], int) or not 0 < both[0] < _LARGEST:
            self.fail(name, f"has {key} {str(value)[:40]}: AlexNet's are square")
        return int(both[0])

    def pads(self, name: str, value: Any) -> tuple[int, int]:
        pairs = value if isinstance(value, list) else [value, value]
        pairs = [each if isinstance(each, list) else [each, each] for each in pairs]
        numbers = [number for pair in pairs for number in pair]
        good = (
            len(pairs) == 2 and len(numbers) == 4 and all(isinstance(n, int) and 0 <= n < _LARGEST for n in numbers)
        )
        if not good or pairs[0] != pairs[1]:
            self.fail(name, f"pads by {str(value)[:40]}: AlexNet's windows are square")
        return numbers[0], numbers[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
