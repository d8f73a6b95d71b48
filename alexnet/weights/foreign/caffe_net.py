"""A net of Caffe as a `ForeignNet`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from alexnet.errors import UserError
from alexnet.weights.foreign.caffe import Blob, CaffeLayer, read_caffemodel, read_description, read_mean
from alexnet.weights.foreign.net import ForeignNet, Kind, Layer, Pixels, Step, layer_of

_INPUTS = {"Data", "ImageData", "WindowData", "MemoryData", "HDF5Data", "DummyData", "Input", "AnnotatedData"}
_WITHOUT_EFFECT = {"Dropout", "Softmax", "SoftmaxWithLoss", "Accuracy", "Split", "Flatten", "Silence", "HingeLoss"}
_FUNCTIONS = {"ReLU": "relu", "TanH": "tanh", "Sigmoid": "sigmoid"}
_WEIGHTED = ("Convolution", "InnerProduct")

# As published in BVLC/caffe, models/*/readme.md: SHA-1 of the file, and what was reported of it.
_PUBLISHED = {
    "9116a64c0fbe4459d18f4bb6b56d647b63920377": "BVLC AlexNet: top-1 57.1%, top-5 80.2% on ImageNet's validation "
    "split, centre crop of 256x256 px",
    "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46": "BVLC CaffeNet: top-1 57.4%, top-5 80.4% on ImageNet's validation "
    "split, centre crop of 256x256 px",
}
_REPORTED = "{}; published by its authors, not measured here"


def read_caffe(path: Path, content: bytes, prototxt: Path | None = None, mean: Path | None = None) -> ForeignNet:
    """The net of a `.caffemodel`.

    Args:
        path: the file, for errors.
        content: its bytes.
        prototxt: the net's description; None: the one in the file, which Caffe writes along.
        mean: its mean image, a `.binaryproto` or `.npy`.

    Raises:
        UserError: a file is damaged, or the net has layers that no AlexNet has.
    """
    model = read_caffemodel(path, content)
    described = model if prototxt is None else read_description(prototxt)
    source = path if prototxt is None else prototxt
    blobs = {layer.name: layer.blobs for layer in model.layers if layer.blobs}
    builder = _Builder(source)
    for layer in described.layers:
        if layer.is_for_training_alone:
            continue
        if layer.type in _WEIGHTED and layer.name not in blobs:
            builder.fail(layer, f"has no weights in {path}, which holds {', '.join(blobs) or 'none'}")
        builder.add(layer, blobs.get(layer.name, []), path)
    in_channels = builder.layers[0].weight.shape[1] if builder.layers else 0
    image = None if mean is None else read_mean(mean)
    return ForeignNet(
        what="Caffe",
        layers=builder.layers,
        steps=builder.steps if builder.has_settings else None,
        image_px=described.image_px or model.image_px or builder.crop_px,
        pixels=_pixels(builder, in_channels, image),
        published=_published(content),
    )


def _published(content: bytes) -> str | None:
    known = _PUBLISHED.get(hashlib.sha1(content, usedforsecurity=False).hexdigest())
    return None if known is None else _REPORTED.format(known)


def _pixels(builder: _Builder, in_channels: int, image: Blob | None) -> Pixels:
    """Caffe reads images with OpenCV: blue comes first, and values are 0..255."""
    bgr = in_channels == 3
    values = builder.mean_values * in_channels if len(builder.mean_values) == 1 else builder.mean_values
    if image is not None and image.shape[0] == 3:
        image = np.ascontiguousarray(image[::-1])
    return Pixels(
        bgr=bgr,
        squashes=True,  # as convert_imageset and pycaffe's Classifier do
        scale=builder.scale,
        mean=tuple(values[::-1] if bgr else values) if len(values) == in_channels else None,
        mean_image=image,
    )


class _Builder:
    """Layers and steps, as they are collected."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.layers: list[Layer] = []
        self.steps: list[Step] = []
        self.has_settings = True
        self.scale = 1.0
        self.crop_px: int | None = None
        self.mean_values: list[float] = []
        self._padding = 0  # of the first form's layer of that name, which the next convolution takes up

    def fail(self, layer: CaffeLayer, problem: str) -> NoReturn:
        raise UserError(f"{self.source}: layer {layer.name!r} ({layer.type}) {problem}")

    def add(self, layer: CaffeLayer, blobs: list[Blob], file: Path) -> None:
        """Take up the next layer, with what the file holds of its weights."""
        if layer.type in _INPUTS:
            self._take_input(layer)
        elif layer.type == "Padding":
            self._padding = self._whole(layer, "pad", 0)
        elif layer.type in _WEIGHTED:
            self._add_weighted(layer, blobs, file)
        elif layer.type == "LRN":
            self._add_norm(layer)
        elif layer.type == "Pooling":
            self._add_pooling(layer)
        elif layer.type in _FUNCTIONS:
            if self._number(layer, "negative_slope", 0.0):
                self._step("activation", layer, function="leaky relu")
            else:
                self._step("activation", layer, function=_FUNCTIONS[layer.type])
        elif layer.type not in _WITHOUT_EFFECT:
            self.fail(layer, "is of a type that no AlexNet has: only nets of that family can be converted")

    def _take_input(self, layer: CaffeLayer) -> None:
        self.scale = self._number(layer, "scale", 1.0)
        if not 0 < self.scale < math.inf:
            self.fail(layer, f"scales by {self.scale}")
        self.crop_px = self._whole(layer, "crop_size", 0) or None
        self.mean_values = [self._as_number(layer, "mean_value", v) for v in layer.settings.get("mean_value", [])]

    def _add_weighted(self, layer: CaffeLayer, blobs: list[Blob], file: Path) -> None:
        if not 1 <= len(blobs) <= 2:
            self.fail(layer, f"has {len(blobs)} blobs, not a weight and perhaps a bias")
        weight = blobs[0]
        if layer.type == "InnerProduct":
            if weight.ndim > 2 and set(weight.shape[:-2]) == {1}:
                weight = weight.reshape(weight.shape[-2:])  # 1 x 1 x outputs x inputs, before shapes were free
            if weight.ndim != 2:
                self.fail(layer, f"has weights of shape {'x'.join(map(str, weight.shape))}, not outputs x inputs")
            weight = weight.T if self._whole(layer, "transpose", 0) else weight
            self._step("dense", layer)
        else:
            if weight.ndim != 4:
                self.fail(layer, f"has weights of {weight.ndim} dimensions, not of 4")
            if self._whole(layer, "dilation", 1) != 1:
                self.fail(layer, "is dilated, as no layer of an AlexNet is")
            self.has_settings &= any(name in layer.settings for name in ("kernel_size", "kernel_h"))
            kernel = self._square(layer, "kernel_size", "kernel", weight.shape[3])
            if weight.shape[2:] != (kernel, kernel):
                sides = "x".join(map(str, weight.shape[2:]))
                self.fail(layer, f"has weights of {sides} px and a kernel_size of {kernel}")
            padding = self._square(layer, "pad", "pad", 0) + self._padding
            self._padding = 0
            self._step(
                "convolution",
                layer,
                kernel=weight.shape[2],
                stride=self._square(layer, "stride", "stride", 1),
                before=padding,
                after=padding,
                groups=self._whole(layer, "group", 1),
            )
        self.layers.append(
            layer_of(file, layer.name, weight, blobs[1] if len(blobs) > 1 else None, ("weight", "bias"))
        )

    def _add_norm(self, layer: CaffeLayer) -> None:
        if self._word(layer, "norm_region") not in ("", "0", "ACROSS_CHANNELS"):
            self.fail(layer, "normalises within each map; AlexNet does so across maps")
        maps = self._whole(layer, "local_size", 5)
        alpha = self._number(layer, "alpha", 1.0) / max(maps, 1)
        beta, k = self._number(layer, "beta", 0.75), self._number(layer, "k", 1.0)
        self._step("normalisation", layer, maps=maps, alpha=alpha, beta=beta, k=k)

    def _add_pooling(self, layer: CaffeLayer) -> None:
        if self._word(layer, "pool") not in ("", "0", "MAX"):
            self.fail(layer, "takes means; AlexNet pools by maxima")
        if self._whole(layer, "global_pooling", 0):
            self.fail(layer, "pools whole maps, as no AlexNet does")
        padding = self._square(layer, "pad", "pad", 0)
        kernel, stride = self._square(layer, "kernel_size", "kernel", 0), self._square(layer, "stride", "stride", 1)
        self._step("max pooling", layer, kernel=kernel, stride=stride, before=padding, after=padding, ceil=1)

    def _step(self, kind: Kind, layer: CaffeLayer, **settings: float | str) -> None:
        self.steps.append(Step(kind, layer.name, settings))

    def _square(self, layer: CaffeLayer, name: str, stem: str, default: int) -> int:
        """The setting `name`, which may be given for height and width by themselves, but must be the same."""
        values = [self._as_whole(layer, name, value) for value in layer.settings.get(name, [])]
        values += [
            self._whole(layer, f"{stem}_{axis}", default) for axis in "hw" if f"{stem}_{axis}" in layer.settings
        ]
        if len(set(values)) > 1:
            self.fail(layer, f"has a {name} of {values}: AlexNet's are square")
        return values[0] if values else default

    def _word(self, layer: CaffeLayer, name: str) -> str:
        values = layer.settings.get(name, [])
        return str(values[-1]) if values else ""

    def _whole(self, layer: CaffeLayer, name: str, default: int) -> int:
        values: Sequence[Any] = layer.settings.get(name, [])
        return self._as_whole(layer, name, values[-1]) if values else default

    def _as_whole(self, layer: CaffeLayer, name: str, value: Any) -> int:
        word = {"true": "1", "false": "0"}.get(str(value), str(value))
        if not word.isascii() or not word.isdecimal() or len(word) > 6:
            self.fail(layer, f"has a {name} of {word[:40]}")
        return int(word)

    def _number(self, layer: CaffeLayer, name: str, default: float) -> float:
        values = layer.settings.get(name, [])
        return self._as_number(layer, name, values[-1]) if values else default

    def _as_number(self, layer: CaffeLayer, name: str, value: Any) -> float:
        try:
            number = float(str(value).removesuffix("f"))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(layer, f"has a {name} of {str(value)[:40]}")
        return number
