"""ONNX's messages: what of a file's graph is read, and the values of its tensors.

Field numbers are those of onnx.proto (onnx/onnx).
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

_DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}  # TensorProto.DataType
_MOST_AXES = 16


@dataclass
class Tensor:
    """Numbers, in the file or beside it."""

    dims: list[int] = field(default_factory=list)
    dtype: int = 0
    raw: memoryview | None = None
    numbers: list[NDArray[Any]] = field(default_factory=list)
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False
    name: str = ""


@dataclass
class Node:
    """An operator."""

    op: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """Operators, constants and inputs."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, list[int]] = field(default_factory=dict)
    """Dimensions of each, 0 where one is free."""


def read_model(path: Path, content: bytes) -> tuple[Graph, str, dict[str, str]]:
    """The graph, who wrote the file, and its metadata; raises `UserError` for damage."""
    model = Message(path, content)
    graph, producer, metadata = Graph(), "", {}
    for part in model.fields():
        if part.number == 2:
            producer = model.text(part)
        elif part.number == 7:
            _read_graph(model.message(part, "the graph"), graph)
        elif part.number == 14:
            key, value = _pair(model.message(part, "a piece of metadata"))
            metadata[key] = value
    if not graph.nodes:
        raise UserError(f"{path} holds no operator: is it an ONNX file?")
    return graph, producer, metadata


def _read_graph(message: Message, graph: Graph) -> None:
    for part in message.fields():
        if part.number == 1:
            graph.nodes.append(_node(message.message(part, f"operator {len(graph.nodes)}")))
        elif part.number == 5:
            tensor = _tensor(message.message(part, "an initialiser"))
            graph.tensors[tensor.name] = tensor
        elif part.number == 11:
            name, dims = _value_info(message.message(part, "an input"))
            graph.inputs[name] = dims


def _node(message: Message) -> Node:
    node = Node()
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


def _tensor(message: Message) -> Tensor:
    tensor = Tensor()
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


def values_of(path: Path, tensor: Tensor, name: str) -> NDArray[Any]:
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


def _external(path: Path, tensor: Tensor, name: str, size: int) -> bytes:
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
