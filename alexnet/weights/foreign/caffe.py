"""Caffe's files: `.caffemodel`, `deploy.prototxt` and `mean.binaryproto`, read without Caffe.

Field numbers are those of caffe.proto (BVLC/caffe, src/caffe/proto). Layers come in three forms: `layer` (100) since
2014, `layers` (2) before, whose types are numbers (V1), and the first, whose settings lie in a message within (V0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.weights._files import read_file
from alexnet.weights.foreign.protobuf import BYTES, Field, Message
from alexnet.weights.foreign.prototxt import Block, read_prototxt

Blob = NDArray[np.floating]

# Messages of settings: the name and the kind (integer, float, text) of each field that is read.
_CONVOLUTION = {1: "num_output", 2: "bias_term", 3: "pad", 4: "kernel_size", 5: "group", 6: "stride", 9: "pad_h",
                10: "pad_w", 11: "kernel_h", 12: "kernel_w", 13: "stride_h", 14: "stride_w",
                18: "dilation"}  # fmt: skip
_INNER_PRODUCT = {1: "num_output", 2: "bias_term", 6: "transpose"}
_LRN = {1: "local_size", 2: "alpha", 3: "beta", 4: "norm_region", 5: "k"}
_POOLING = {1: "pool", 2: "kernel_size", 3: "stride", 4: "pad", 5: "kernel_h", 6: "kernel_w", 7: "stride_h",
            8: "stride_w", 9: "pad_h", 10: "pad_w", 12: "global_pooling"}  # fmt: skip
_RELU = {1: "negative_slope"}
_TRANSFORM = {1: "scale", 3: "crop_size", 4: "mean_file", 5: "mean_value"}
_OLD_DATA = {2: "scale", 3: "mean_file", 5: "crop_size"}
_FLOATS = {"alpha", "beta", "k", "negative_slope", "scale", "mean_value"}

_NEW_SETTINGS = {100: _TRANSFORM, 106: _CONVOLUTION, 117: _INNER_PRODUCT, 118: _LRN, 121: _POOLING, 123: _RELU}
_V1_SETTINGS = {
    36: _TRANSFORM,
    10: _CONVOLUTION,
    17: _INNER_PRODUCT,
    18: _LRN,
    19: _POOLING,
    30: _RELU,
    11: _OLD_DATA,
}
_V0_SETTINGS = {3: "num_output", 4: "bias_term", 7: "pad", 8: "kernel_size", 9: "group", 10: "stride", 11: "pool",
                13: "local_size", 14: "alpha", 15: "beta", 17: "scale", 18: "mean_file", 20: "crop_size",
                22: "k"}  # fmt: skip
_V1_TYPES = {1: "Accuracy", 3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout", 8: "Flatten", 9: "HDF5Data",
             12: "ImageData", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 18: "ReLU", 19: "Sigmoid", 20: "Softmax",
             21: "SoftmaxWithLoss", 22: "Split", 23: "TanH", 24: "WindowData", 28: "HingeLoss", 29: "MemoryData",
             32: "DummyData", 36: "Silence"}  # fmt: skip
_V1_WORDS = {"CONVOLUTION": "Convolution", "INNER_PRODUCT": "InnerProduct", "POOLING": "Pooling", "RELU": "ReLU",
             "TANH": "TanH", "SIGMOID": "Sigmoid", "DROPOUT": "Dropout", "SOFTMAX": "Softmax", "DATA": "Data",
             "SOFTMAX_LOSS": "SoftmaxWithLoss", "ACCURACY": "Accuracy", "IMAGE_DATA": "ImageData",
             "WINDOW_DATA": "WindowData", "FLATTEN": "Flatten", "SILENCE": "Silence", "SPLIT": "Split"}  # fmt: skip
_V0_WORDS = {"conv": "Convolution", "innerproduct": "InnerProduct", "lrn": "LRN", "pool": "Pooling", "relu": "ReLU",
             "tanh": "TanH", "sigmoid": "Sigmoid", "dropout": "Dropout", "softmax": "Softmax", "data": "Data",
             "softmax_loss": "SoftmaxWithLoss", "accuracy": "Accuracy", "images": "ImageData", "flatten": "Flatten",
             "window_data": "WindowData", "padding": "Padding", "split": "Split"}  # fmt: skip
_OLD_NAMES = {"kernelsize": "kernel_size", "biasterm": "bias_term", "cropsize": "crop_size", "meanfile": "mean_file"}
_MOST_AXES = 32


@dataclass
class CaffeLayer:
    """A layer of any of the three forms, by the names of the newest."""

    name: str = ""
    type: str = ""
    settings: dict[str, list[Any]] = field(default_factory=dict)
    blobs: list[Blob] = field(default_factory=list)
    is_for_training_alone: bool = False


@dataclass
class CaffeNet:
    """A net, as far as a classifier needs it."""

    name: str
    layers: list[CaffeLayer]
    image_px: int | None
    """Side of its input, where it has one that is square."""


def read_caffemodel(path: Path, content: bytes) -> CaffeNet:
    """The net in the `.caffemodel` whose bytes are `content`, with its weights; raises `UserError` for damage."""
    net = Message(path, content)
    name, px = "", None
    layers: list[CaffeLayer] = []
    dims: list[int] = []
    for part in net.fields():
        if part.number == 1 and part.wire == BYTES:
            name = net.text(part)
        elif part.number == 100:
            layers.append(_new_layer(net.message(part, f"layer {len(layers)}")))
        elif part.number == 2:
            layers.append(_old_layer(net.message(part, f"layer {len(layers)}")))
        elif part.number == 4:
            dims += net.integers(part)
        elif part.number == 8:
            dims = _integers_of(net.message(part, "its input's shape"), 1)
    if len(dims) == 4 and dims[2] == dims[3]:
        px = dims[3]
    if not layers:
        raise UserError(f"{path} holds no layer: is it a .caffemodel?")
    return CaffeNet(name, layers, px)


def read_description(path: Path) -> CaffeNet:
    """The net that a `.prototxt` describes, without weights; raises `UserError` where it describes none."""
    block = read_prototxt(path)
    layers = [_described_layer(path, each) for each in _blocks(block, "layer") + _blocks(block, "layers")]
    if not layers:
        raise UserError(f"{path} describes no layer: name the deploy.prototxt of the net")
    dims = [value for each in _blocks(block, "input_shape") for value in each.get("dim", [])]
    dims = dims or block.get("input_dim", [])
    for layer in _blocks(block, "layer"):
        for settings in _blocks(layer, "input_param"):
            dims = dims or [value for shape in _blocks(settings, "shape") for value in shape.get("dim", [])]
    square = len(dims) == 4 and dims[2] == dims[3] and str(dims[3]).isdecimal() and len(dims[3]) < 6
    names = [name for name in block.get("name", []) if isinstance(name, str)]
    return CaffeNet(names[0] if names else "", layers, int(dims[3]) if square else None)


def read_mean(path: Path) -> NDArray[np.float32]:
    """A mean image [C, H, W], grey levels in the net's own order of channels.

    From a `.binaryproto`, or from numpy's `.npy`, in which Caffe ships ImageNet's.

    Raises:
        UserError: the file is missing, damaged, or holds no image of 1 or 3 channels.
    """
    content = read_file(path)
    if content[:6] == b"\x93NUMPY":
        try:
            image: Any = np.load(path, allow_pickle=False, mmap_mode="r")
        except Exception as error:  # numpy parses its header as Python's literals, which fail in many ways
            raise UserError(f"{path} is damaged: {error}") from None
    else:
        image = _blob(Message(path, content, what="the mean image"))
    image = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.dtype.kind != "f":
        raise UserError(
            f"{path} holds {image.dtype} values of shape {tuple(image.shape)}, no mean image: floating-point values "
            "of shape [1, 3, 256, 256] or the like"
        )
    mean: NDArray[np.float32] = np.array(image, np.float32)
    if not np.isfinite(mean).all():
        raise UserError(f"{path} holds NaN or infinity: it is damaged")
    return mean


def _new_layer(message: Message) -> CaffeLayer:
    layer = CaffeLayer()
    for part in message.fields():
        if part.number == 1:
            layer.name = message.text(part)
        elif part.number == 2:
            layer.type = message.text(part)
        elif part.number == 7:
            layer.blobs.append(_blob(message.message(part, f"layer {layer.name!r}, blob {len(layer.blobs)}")))
        elif part.number in _NEW_SETTINGS:
            _read_settings(layer, message.message(part, f"layer {layer.name!r}"), _NEW_SETTINGS[part.number])
    return layer


def _old_layer(message: Message) -> CaffeLayer:
    layer = CaffeLayer()
    for part in message.fields():
        if part.number == 1:
            _read_first_form(layer, message.message(part, "a layer"))
        elif part.number == 4:
            layer.name = message.text(part)
        elif part.number == 5:
            number = message.integer(part)
            layer.type = _V1_TYPES.get(number, f"number {number}")
        elif part.number == 6:
            layer.blobs.append(_blob(message.message(part, f"layer {layer.name!r}, blob {len(layer.blobs)}")))
        elif part.number in _V1_SETTINGS:
            _read_settings(layer, message.message(part, f"layer {layer.name!r}"), _V1_SETTINGS[part.number])
    return layer


def _read_first_form(layer: CaffeLayer, message: Message) -> None:
    for part in message.fields():
        if part.number == 1:
            layer.name = message.text(part)
        elif part.number == 2:
            word = message.text(part)
            layer.type = _V0_WORDS.get(word, word)
        elif part.number == 50:
            layer.blobs.append(_blob(message.message(part, f"layer {layer.name!r}, blob {len(layer.blobs)}")))
        elif part.number in _V0_SETTINGS:
            _read_setting(layer, message, part, _V0_SETTINGS[part.number])


def _read_settings(layer: CaffeLayer, message: Message, names: dict[int, str]) -> None:
    for part in message.fields():
        if part.number in names:
            _read_setting(layer, message, part, names[part.number])


def _read_setting(layer: CaffeLayer, message: Message, part: Field, name: str) -> None:
    if name in _FLOATS:
        values: list[Any] = message.floats(part).tolist()
    elif name == "mean_file":
        values = [message.text(part)]
    else:
        values = list(message.integers(part))
    layer.settings.setdefault(name, []).extend(values)


def _blob(message: Message) -> Blob:
    """The values of a BlobProto in its shape, single ones preferred to double ones."""
    values: dict[int, list[Blob]] = {5: [], 8: []}
    old, shape = {1: 0, 2: 0, 3: 0, 4: 0}, None
    for part in message.fields():
        if part.number in values:
            values[part.number].append(message.floats(part, "<f4" if part.number == 5 else "<f8"))
        elif part.number in old:
            old[part.number] = message.integer(part)
        elif part.number == 7:
            shape = _integers_of(message.message(part, f"the shape of {message.what}"), 1)
    found = values[5] or values[8] or [np.zeros(0, np.float32)]
    array = found[0] if len(found) == 1 else np.concatenate(found)
    axes = tuple(old.values()) if shape is None else tuple(shape)
    count = 1
    for axis in axes[:_MOST_AXES]:
        count *= axis
    if len(axes) > _MOST_AXES or min(axes, default=1) < 1 or count != array.size:
        message.fail(0, f"the shape {'x'.join(map(str, axes[:8]))} and {array.size:,} values")
    return array.reshape(axes)


def _integers_of(message: Message, number: int) -> list[int]:
    return [value for part in message.fields() if part.number == number for value in message.integers(part)]


def _blocks(block: Block, name: str) -> list[Block]:
    return [value for value in block.get(name, []) if isinstance(value, dict)]


def _described_layer(path: Path, block: Block) -> CaffeLayer:
    """A layer as text, of any of the three forms."""
    inner = _blocks(block, "layer")
    own = inner[0] if inner else block
    kinds, names = own.get("type", []), own.get("name", [])
    if not kinds or not isinstance(kinds[0], str) or not names or not isinstance(names[0], str):
        raise UserError(f"{path}: layer {names[0] if names else '?'} has no name or no type")
    words = _V0_WORDS if inner else _V1_WORDS
    layer = CaffeLayer(names[0], words.get(kinds[0], kinds[0]))
    known = {name for table in (*_NEW_SETTINGS.values(), _OLD_DATA) for name in table.values()}
    settings = [own] if inner else [each for name in own if name.endswith("_param") for each in _blocks(own, name)]
    for each in settings:
        for name, values in each.items():
            name = _OLD_NAMES.get(name, name)
            if name in known and not any(isinstance(value, dict) for value in values):
                layer.settings.setdefault(name, []).extend(values)
    phases = [phase for rule in _blocks(block, "include") for phase in rule.get("phase", [])]
    layer.is_for_training_alone = phases == ["TRAIN"]
    return layer
