"""MatConvNet's nets (`imagenet-caffe-alex.mat` and its like).

A net of its `SimpleNN` is a cell array `layers` of structs, at the top or in a struct `net`. Arrays are [height,
width, channels, outputs], dense layers are convolutions as large as their maps, and colours are red, green, blue in
0..255 (vlfeat/matconvnet, matlab/simplenn/vl_simplenn.m and utils/import-caffe.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.weights.foreign.matlab import Struct, read_mat
from alexnet.weights.foreign.net import ForeignNet, Kind, Layer, Pixels, Step, layer_of

_WITHOUT_EFFECT = {"dropout", "softmax", "softmaxloss", "loss"}
_NATIVE_PX = 227  # of the nets it publishes, where a file does not say
_LARGEST_WINDOW = 1 << 12


def read_matconvnet(path: Path, content: bytes) -> ForeignNet:
    """The net in a `.mat` file of MATLAB 5 to 7.

    Args:
        path: the file, for errors.
        content: its bytes.

    Raises:
        UserError: the file is damaged, or holds no net of MatConvNet's SimpleNN that is like AlexNet.
    """
    return _Reader(path).net(read_mat(path, content))


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.layers: list[Layer] = []
        self.steps: list[Step] = []

    def fail(self, problem: str) -> NoReturn:
        raise UserError(f"{self.path}: {problem}")

    def net(self, variables: Struct) -> ForeignNet:
        root = variables if "layers" in variables else _struct(variables.get("net"))
        layers = root.get("layers")
        if "params" in root:
            self.fail("holds a DagNN: convert it to a SimpleNN in MATLAB first")
        if not isinstance(layers, list) or not layers or len(layers) > 1000:
            self.fail("holds no 'layers': only nets of MatConvNet's SimpleNN are read")
        meta = _struct(root.get("meta")) or root
        normalisation = _struct(meta.get("normalization"))
        size = self.numbers(normalisation.get("imageSize"))
        px = int(size[0]) if len(size) >= 2 and size[0] == size[1] and 0 < size[0] < _LARGEST_WINDOW else None
        side = px or _NATIVE_PX
        for layer in layers:
            side = self.add(_struct(layer), side)
        return ForeignNet(
            what="MatConvNet",
            layers=self.layers,
            steps=self.steps,
            image_px=px,
            pixels=replace(
                self.pixels(normalisation.get("averageImage")),
                squashes=self.numbers(normalisation.get("keepAspect")) == [0.0],
            ),
            class_names=self.names(_struct(meta.get("classes")).get("description")),
        )

    def add(self, layer: Struct, side: int) -> int:
        """Take up the next layer, which is given maps of that side; the side of its own maps."""
        kind, name = _text(layer.get("type")), _text(layer.get("name")) or f"layer {len(self.steps)}"
        if kind == "relu":
            if self.numbers(layer.get("leak")) not in ([], [0.0]):
                self.fail(f"layer {name!r} is a leaky ReLU")
            self.steps.append(Step("activation", name, {"function": "relu"}))
        elif kind in ("normalize", "lrn"):
            numbers = self.numbers(layer.get("param"))
            if len(numbers) != 4:
                self.fail(f"layer {name!r} has {len(numbers)} parameters, not 4")
            keys = ("maps", "k", "alpha", "beta")
            self.steps.append(Step("normalisation", name, dict(zip(keys, numbers, strict=True))))
        elif kind == "pool":
            if _text(layer.get("method")) not in ("", "max"):
                self.fail(f"layer {name!r} takes means; AlexNet pools by maxima")
            kernel = self.square(name, layer.get("pool"), 1)
            return self.window("max pooling", layer, name, kernel, side)
        elif kind == "conv":
            return self.add_weighted(layer, name, side)
        elif kind not in _WITHOUT_EFFECT:
            self.fail(f"layer {name!r} is of the type {kind!r}, which no AlexNet has")
        return side

    def add_weighted(self, layer: Struct, name: str, side: int) -> int:
        arrays: Any = layer.get("weights", [layer.get("filters"), layer.get("biases")])
        if (
            not isinstance(arrays, list)
            or len(arrays) != 2
            or not all(isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size for a in arrays)
        ):
            self.fail(f"layer {name!r} has no filters and biases")
        filters: Any = arrays[0]
        if not 2 <= filters.ndim <= 4:
            self.fail(f"layer {name!r} has filters of {filters.ndim} dimensions")
        filters = filters.reshape(filters.shape + (1,) * (4 - filters.ndim))  # MATLAB drops last axes of 1
        weight: NDArray[Any] = filters.transpose(3, 2, 0, 1)
        kernel = weight.shape[2]
        before = self.pads(name, layer.get("pad"))
        if weight.shape[2] == weight.shape[3] == side and before == (0, 0):
            self.steps.append(Step("dense", name, {}))
            self.keep(name, weight.reshape(len(weight), -1), arrays[1])
            return 1
        inputs = self.layers[-1].weight.shape[0] if self.layers else weight.shape[1]
        groups = max(1, inputs // weight.shape[1])
        self.keep(name, weight, arrays[1])
        return self.window("convolution", layer, name, kernel, side, groups=groups)

    def keep(self, name: str, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        self.layers.append(layer_of(self.path, name, weight, bias, ("filters", "biases")))

    def window(self, kind: Kind, layer: Struct, name: str, kernel: int, side: int, **more: float) -> int:
        stride = self.square(name, layer.get("stride"), 1)
        before, after = self.pads(name, layer.get("pad"))
        settings = {"kernel": kernel, "stride": stride, "before": before, "after": after, **more}
        self.steps.append(Step(kind, name, settings))
        return max(0, (side + before + after - kernel) // max(1, stride) + 1)

    def pads(self, name: str, value: Any) -> tuple[int, int]:
        """Padding before (top and left) and after, of one number or of top, bottom, left and right."""
        numbers = self.numbers(value) or [0.0]
        four = numbers * 4 if len(numbers) == 1 else numbers
        if len(four) != 4 or four[0] != four[2] or four[1] != four[3]:
            self.fail(f"layer {name!r} pads by {numbers[:4]}: AlexNet's windows are square")
        return self.whole(name, four[0]), self.whole(name, four[1])

    def square(self, name: str, value: Any, default: int) -> int:
        numbers = self.numbers(value) or [float(default)]
        if len(set(numbers)) != 1:
            self.fail(f"layer {name!r} has a window of {numbers[:4]}: AlexNet's are square")
        return self.whole(name, numbers[0])

    def whole(self, name: str, number: float) -> int:
        if not (0 <= number < _LARGEST_WINDOW and number == int(number)):
            self.fail(f"layer {name!r} has a window or padding of {number}")
        return int(number)

    def numbers(self, value: Any) -> list[float]:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.size > 16:
            return []
        return [float(number) for number in np.ravel(value)]

    def pixels(self, image: Any) -> Pixels:
        if not isinstance(image, np.ndarray) or image.dtype.kind not in "fiu" or image.size in (0, 2):
            return Pixels()
        if not np.isfinite(image).all():
            self.fail("its averageImage holds NaN or infinity")
        if image.size in (1, 3):
            return Pixels(mean=tuple(float(value) for value in np.ravel(image)))
        if image.ndim != 3 or image.shape[2] not in (1, 3):
            self.fail(f"its averageImage has the shape {image.shape}, not height x width x 3")
        return Pixels(mean_image=np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))

    def names(self, described: Any) -> tuple[str, ...] | None:
        if not isinstance(described, list) or not all(isinstance(each, str) for each in described):
            return None
        return tuple(described) or None


def _struct(value: Any) -> Struct:
    """The struct, which MATLAB may keep in a cell of its own; an empty one where it is none."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
