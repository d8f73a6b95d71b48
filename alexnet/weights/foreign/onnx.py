"""ONNX files of nets that are one chain of layers, read without the onnx package.

Field numbers are those of onnx.proto (onnx/onnx). Weights are initialisers or constants, in the file or in one beside it
(external data, as torch writes it). Operators are followed from the input to the output.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.weights._files import read_file
from alexnet.weights.foreign.net import ForeignNet, Kind, Layer, Pixels, Step, layer_of
from alexnet.weights.foreign.protobuf import BYTES, Field, Message

_DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}  # TensorProto.DataType
_WITHOUT_EFFECT = {"Dropout", "Flatten", "Reshape", "Squeeze", "Identity", "Softmax", "LogSoftmax"}
_FUNCTIONS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Elu": "elu", "LeakyRelu": "leaky relu",
              "Gelu": "gelu"}  # fmt: skip
_MOST_AXES = 16


@dataclass
class _Tensor:
    dims: list[int] = field(default_factory=list)
    dtype: int = 0
    raw: memoryview | None = None
    numbers: list[NDArray[Any]] = field(default_factory=list)
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False
    name: str = ""


@dataclass
class _Node:
    op: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Graph:
    nodes: list[_Node] = field(default_factory=list)
    tensors: dict[str, _Tensor] = field(default_factory=dict)
    inputs: dict[str, list[int]] = field(default_factory=dict)
    """Dimensions of each, 0 where one is free."""


def read_onnx(path: Path, content: bytes) -> ForeignNet:
    """The net in an ONNX file.

    A net whose normalisation has k = 1 and whose first convolution has no padding was Caffe's, unless torch wrote the
    file: its input is taken as blue, green, red in 0..255, as in the ONNX model zoo.

    Raises:
        UserError: the file is damaged, or the net is none of layers one after the other such as AlexNet's.
    """
    model = Message(path, content)
    graph, producer, classes = _Graph(), "", None
    for part in model.fields():
        if part.number == 2:
            producer = model.text(part)
        elif part.number == 7:
            _read_graph(model.message(part, "the graph"), graph)
        elif part.number == 14:
            key, value = _pair(model.message(part, "a piece of metadata"))
            classes = _class_names(value) if key == "classes" else classes
    if not graph.nodes:
        raise UserError(f"{path} holds no operator: is it an ONNX file?")
    return _Walk(path, graph).net(producer, classes)


def _class_names(text: str) -> tuple[str, ...] | None:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list else None


def _read_graph(message: Message, graph: _Graph) -> None:
    for part in message.fields():
        if part.number == 1:
            graph.nodes.append(_node(message.message(part, f"operator {len(graph.nodes)}")))
        elif part.number == 5:
            tensor = _tensor(message.message(part, "an initialiser"))
            graph.tensors[tensor.name] = tensor
        elif part.number == 11:
            name, dims = _value_info(message.message(part, "an input"))
            graph.inputs[name] = dims


def _node(message: Message) -> _Node:
    node = _Node()
    for part in message.fields():
        if part.number == 1:
            node.inputs.append(message.text(part))
        elif part.number == 2:
            node.outputs.append(message.text(part))
        elif part.number == 3:
            node.name = message.text(part)
        elif part.number == 4:
            node.op = message.text(part)
        elif part.number == 5:
            name, value = _attribute(message.message(part, f"an attribute of {node.name!r}"))
            node.attributes[name] = value
    return node


def _attribute(message: Message) -> tuple[str, Any]:
    name: str = ""
    value: Any = None
    for part in message.fields():
        if part.number == 1:
            name = message.text(part)
        elif part.number == 2:
            value = float(message.floats(part)[-1])
        elif part.number == 3:
            value = message.integer(part)
        elif part.number == 4:
            value = bytes(message.raw(part)).decode("utf-8", "replace")
        elif part.number == 5:
            value = _tensor(message.message(part, f"the tensor {name!r}"))
        elif part.number == 8:
            value = [*(value if isinstance(value, list) else []), *message.integers(part)]
    return name, value


def _tensor(message: Message) -> _Tensor:
    tensor = _Tensor()
    for part in message.fields():
        if part.number == 1:
            tensor.dims += message.integers(part)
        elif part.number == 2:
            tensor.dtype = message.integer(part)
        elif part.number == 4:
            tensor.numbers.append(message.floats(part))
        elif part.number == 8:
            tensor.name = message.text(part)
        elif part.number == 9:
            tensor.raw = message.raw(part)
        elif part.number == 10:
            tensor.numbers.append(message.floats(part, "<f8"))
        elif part.number == 13:
            key, value = _pair(message.message(part, "where a tensor lies"))
            tensor.external[key] = value
        elif part.number == 14:
            tensor.is_external = message.integer(part) == 1
    return tensor


def _value_info(message: Message) -> tuple[str, list[int]]:
    name, dims = "", []
    for part in message.fields():
        if part.number == 1:
            name = message.text(part)
        elif part.number == 2:
            for shape in _down(message.message(part, "a type"), (1, 2)):
                dims = [_dimension(shape.message(each, "a dimension")) for each in shape.fields() if each.number == 1]
    return name, dims


def _down(message: Message, numbers: tuple[int, ...]) -> list[Message]:
    found = [message]
    for number in numbers:
        found = [
            each.message(part, "a type")
            for each in found
            for part in each.fields()
            if part.number == number and part.wire == BYTES
        ]
    return found


def _dimension(message: Message) -> int:
    values = [message.integer(part) for part in message.fields() if part.number == 1]
    return values[-1] if values else 0


def _pair(message: Message) -> tuple[str, str]:
    texts: dict[int, str] = {}
    parts: list[Field] = [part for part in message.fields() if part.number in (1, 2)]
    for part in parts:
        texts[part.number] = message.text(part)
    return texts.get(1, ""), texts.get(2, "")


class _Walk:
    """From a graph's input to its output."""

    def __init__(self, path: Path, graph: _Graph) -> None:
        self.path, self.graph = path, graph
        self.layers: list[Layer] = []
        self.steps: list[Step] = []
        self.made_by = {name: node for node in graph.nodes for name in node.outputs}
        self.consumers: dict[str, list[_Node]] = defaultdict(list)
        for node in graph.nodes:
            for name in node.inputs[:1] if node.op != "Add" else node.inputs:
                self.consumers[name].append(node)

    def fail(self, node: _Node, problem: str) -> NoReturn:
        raise UserError(f"{self.path}: operator {node.name or '/'.join(node.outputs)!r} ({node.op}) {problem}")

    def net(self, producer: str, class_names: tuple[str, ...] | None) -> ForeignNet:
        inputs = [name for name in self.graph.inputs if name not in self.graph.tensors]
        if len(inputs) != 1:
            raise UserError(f"{self.path} has {len(inputs)} inputs, {', '.join(inputs[:5])}: a classifier has one")
        dims, value = self.graph.inputs[inputs[0]], inputs[0]
        seen = 0
        while nodes := self.consumers[value]:
            seen += 1
            if len(nodes) > 1 or seen > len(self.graph.nodes):
                self.fail(nodes[-1], f"and others take {value!r}: AlexNet's layers follow one another")
            if not nodes[0].outputs:
                self.fail(nodes[0], "has no output")
            self.add(nodes[0], value)
            value = nodes[0].outputs[0]
        is_square = len(dims) == 4 and dims[2] == dims[3] > 0
        channels = self.layers[0].weight.shape[1] if self.layers else 0
        return ForeignNet(
            what="ONNX",
            layers=self.layers,
            steps=self.steps,
            image_px=dims[2] if is_square else None,
            pixels=Pixels(bgr=True) if channels == 3 and producer != "pytorch" and self.is_caffes() else None,
            class_names=class_names,
        )

    def is_caffes(self) -> bool:
        norms = [step for step in self.steps if step.kind == "normalisation"]
        first = next((step for step in self.steps if step.kind == "convolution"), None)
        return bool(norms) and norms[0].settings["k"] == 1 and first is not None and first.settings["before"] == 0

    def add(self, node: _Node, value: str) -> None:
        if node.op == "Conv":
            self.add_convolution(node)
        elif node.op in ("Gemm", "MatMul"):
            self.add_dense(node)
        elif node.op == "Add":
            self.add_bias(node, value)
        elif node.op == "LRN":
            maps = self.whole(node, "size", 1)
            alpha = self.number(node, "alpha", 1e-4) / maps
            beta, k = self.number(node, "beta", 0.75), self.number(node, "bias", 1.0)
            self.step("normalisation", node, maps=maps, alpha=alpha, beta=beta, k=k)
        elif node.op == "MaxPool":
            kernel, stride, before, after = self.window(node)
            ceil = self.whole(node, "ceil_mode", 0)
            self.step("max pooling", node, kernel=kernel, stride=stride, before=before, after=after, ceil=ceil)
        elif node.op in _FUNCTIONS:
            self.step("activation", node, function=_FUNCTIONS[node.op])
        elif node.op == "AveragePool" and self.window(node)[:2] == (1, 1):
            pass
        elif node.op not in _WITHOUT_EFFECT:
            quantised = any(word in node.op for word in ("Quant", "QLinear", "Integer"))
            self.fail(node, "is of a quantised net: convert the fp32 one" if quantised else "is none AlexNet has")

    def step(self, kind: Kind, node: _Node, **settings: float | str) -> None:
        self.steps.append(Step(kind, node.name or node.outputs[0], settings))

    def add_convolution(self, node: _Node) -> None:
        weight, name = self.weight(node, 1)
        if weight.ndim != 4:
            self.fail(node, f"has weights of {weight.ndim} dimensions, not of 4")
        if any(each != 1 for each in self.wholes(node, "dilations")):
            self.fail(node, "is dilated, as no layer of an AlexNet is")
        kernel, stride, before, after = self.window(node, weight.shape[2:])
        groups = self.whole(node, "group", 1)
        self.step("convolution", node, kernel=kernel, stride=stride, before=before, after=after, groups=groups)
        self.keep(node, weight, name, self.weight(node, 2)[0] if len(node.inputs) > 2 and node.inputs[2] else None)

    def add_dense(self, node: _Node) -> None:
        weight, name = self.weight(node, 1)
        if weight.ndim != 2:
            self.fail(node, f"has weights of {weight.ndim} dimensions, not of 2")
        scales = self.number(node, "alpha", 1.0), self.number(node, "beta", 1.0), self.whole(node, "transA", 0)
        if scales != (1.0, 1.0, 0):
            self.fail(node, "scales or transposes what it is given")
        weight = weight if node.op == "Gemm" and self.whole(node, "transB", 0) else weight.T
        has_bias = node.op == "Gemm" and len(node.inputs) > 2 and bool(node.inputs[2])
        self.step("dense", node)
        self.keep(node, weight, name, self.weight(node, 2)[0] if has_bias else None)

    def add_bias(self, node: _Node, value: str) -> None:
        """Add what a MatMul, which has no bias of its own, is followed by."""
        other = next((index for index, name in enumerate(node.inputs) if name != value), None)
        if not self.steps or self.steps[-1].kind != "dense" or other is None:
            self.fail(node, "adds to something other than a dense layer")
        bias, _ = self.weight(node, other)
        last = self.layers[-1]
        name = last.weight_name.rpartition(".")[0]
        added = bias.reshape(-1) + last.bias.numpy() if bias.size == len(last.bias) else bias
        self.layers[-1] = layer_of(self.path, name, last.weight.numpy(), added, ("weight", "bias"))

    def keep(self, node: _Node, weight: NDArray[Any], name: str, bias: NDArray[Any] | None) -> None:
        self.layers.append(layer_of(self.path, node.name or name, weight, bias, ("weight", "bias")))

    def window(self, node: _Node, shape: tuple[int, ...] = ()) -> tuple[int, int, int, int]:
        """Kernel, stride and padding before and after, which must be the same in both directions."""
        kernel = self.wholes(node, "kernel_shape") or list(shape)
        strides, pads = self.wholes(node, "strides") or [1], self.wholes(node, "pads") or [0, 0, 0, 0]
        if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "", "VALID"):
            self.fail(node, f"pads by {node.attributes['auto_pad']}: save the net with explicit pads")
        if (
            len(set(kernel)) != 1
            or len(set(strides)) != 1
            or len(pads) != 4
            or pads[0] != pads[1]
            or pads[2] != pads[3]
        ):
            self.fail(
                node, f"has a window of {kernel[:4]}, strides {strides[:4]}, pads {pads[:4]}: AlexNet's are square"
            )
        return kernel[0], strides[0], pads[0], pads[2]

    def weight(self, node: _Node, index: int) -> tuple[NDArray[Any], str]:
        """The constant that is the operator's input `index`, and its name."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        origin, transposed = self.made_by.get(name), False
        for _ in range(4):  # a chain of Identity and Transpose, as exporters leave them
            if origin is None or origin.op not in ("Identity", "Transpose") or not origin.inputs:
                break
            transposed ^= origin.op == "Transpose"
            name = origin.inputs[0]
            origin = self.made_by.get(name)
        tensor = self.graph.tensors.get(name)
        if tensor is None and origin is not None and origin.op == "Constant":
            value = origin.attributes.get("value")
            tensor = value if isinstance(value, _Tensor) else None
        if tensor is None:
            self.fail(node, f"takes its input {index}, {name!r}, from no constant: weights are computed in this net")
        array = _values(self.path, tensor, name)
        return (array.T if transposed else array), name

    def wholes(self, node: _Node, name: str) -> list[int]:
        values = node.attributes.get(name, [])
        if not isinstance(values, list) or not all(isinstance(v, int) and 0 <= v < 1 << 16 for v in values):
            self.fail(node, f"has {name} that are not small whole numbers")
        return values

    def whole(self, node: _Node, name: str, default: int) -> int:
        value = node.attributes.get(name, default)
        if not isinstance(value, int) or not 0 <= value < 1 << 16:
            self.fail(node, f"has a {name} that is not a small whole number")
        return value if name != "size" else max(1, value)

    def number(self, node: _Node, name: str, default: float) -> float:
        value = node.attributes.get(name, default)
        if not isinstance(value, int | float) or not np.isfinite(value):
            self.fail(node, f"has a {name} that is not a number")
        return float(value)


def _values(path: Path, tensor: _Tensor, name: str) -> NDArray[Any]:
    """A tensor's numbers in its shape."""
    if tensor.dtype not in _DTYPES:
        raise UserError(
            f"{path}: {name!r} holds the data type {tensor.dtype}, not fp16, fp32 or fp64: a quantised net?"
        )
    dtype = np.dtype(_DTYPES[tensor.dtype])
    count = 1
    for dim in tensor.dims[:_MOST_AXES]:
        count *= dim
    if len(tensor.dims) > _MOST_AXES or min(tensor.dims, default=1) < 1:
        raise UserError(f"{path}: {name!r} has the shape {tensor.dims[:8]}: it is damaged")
    if tensor.is_external:
        raw: bytes | memoryview = _external(path, tensor, name, count * dtype.itemsize)
    elif tensor.raw is not None:
        raw = tensor.raw
    else:
        numbers = tensor.numbers[0] if len(tensor.numbers) == 1 else np.concatenate(tensor.numbers or [np.zeros(0)])
        raw = memoryview(numbers.astype(dtype).tobytes())
    if len(raw) != count * dtype.itemsize:
        raise UserError(
            f"{path} is damaged: {name!r} has the shape {'x'.join(map(str, tensor.dims))} and {len(raw):,} bytes"
        )
    return np.frombuffer(raw, dtype).reshape(tensor.dims)


def _external(path: Path, tensor: _Tensor, name: str, size: int) -> bytes:
    """Bytes of a tensor that lie in a file beside this one."""
    location = tensor.external.get("location", "")
    if not location or Path(location).name != location or location in (".", ".."):
        raise UserError(f"{path}: {name!r} lies in {location[:80]!r}, which is no file in the same folder")
    file = path.parent / location
    begin, length = tensor.external.get("offset", "0"), tensor.external.get("length", str(size))
    if not all(text.isascii() and text.isdecimal() and len(text) < 20 for text in (begin, length)):
        raise UserError(f"{path}: {name!r} lies at {begin[:20]!r} of {location}: it is damaged")
    if not file.is_file():
        raise UserError(f"{path} keeps its weights in {file}, which is not there: put it beside this file")
    left = file.stat().st_size - int(begin)
    if int(length) != size or size > left:
        raise UserError(f"{file} is truncated: {name!r} needs {size:,} bytes and {max(left, 0):,} are left")
    return read_file(file, size, skip=int(begin))
