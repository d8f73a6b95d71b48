"""ONNX files of nets that are one chain of layers, read without the onnx package.

Weights are initialisers or constants, in the file or in one beside it (external data, as torch writes it). Operators
are followed from the input to the output.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.weights.foreign.net import ForeignNet, Kind, Layer, Pixels, Step, layer_of
from alexnet.weights.foreign.onnx_file import Graph, Node, Tensor, read_model, values_of

_WITHOUT_EFFECT = {"Dropout", "Flatten", "Reshape", "Squeeze", "Identity", "Softmax", "LogSoftmax"}
_FUNCTIONS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Elu": "elu", "LeakyRelu": "leaky relu",
              "Gelu": "gelu"}  # fmt: skip


def read_onnx(path: Path, content: bytes) -> ForeignNet:
    """The net in an ONNX file.

    A net whose normalisation has k = 1 and whose first convolution has no padding was Caffe's, unless torch wrote the
    file: its input is taken as blue, green, red in 0..255, as in the ONNX model zoo.

    Raises:
        UserError: the file is damaged, or the net is none of layers one after the other such as AlexNet's.
    """
    graph, producer, metadata = read_model(path, content)
    return _Walk(path, graph).net(producer, _class_names(metadata.get("classes", "")))


def _class_names(text: str) -> tuple[str, ...] | None:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list else None


class _Walk:
    """From a graph's input to its output."""

    def __init__(self, path: Path, graph: Graph) -> None:
        self.path, self.graph = path, graph
        self.layers: list[Layer] = []
        self.steps: list[Step] = []
        self.made_by = {name: node for node in graph.nodes for name in node.outputs}
        self.consumers: dict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for name in node.inputs[:1] if node.op != "Add" else node.inputs:
                self.consumers[name].append(node)

    def fail(self, node: Node, problem: str) -> NoReturn:
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
            pixels=Pixels(bgr=True, squashes=True)
            if channels == 3 and producer != "pytorch" and self.is_caffes()
            else None,
            class_names=class_names,
        )

    def is_caffes(self) -> bool:
        norms = [step for step in self.steps if step.kind == "normalisation"]
        first = next((step for step in self.steps if step.kind == "convolution"), None)
        return bool(norms) and norms[0].settings["k"] == 1 and first is not None and first.settings["before"] == 0

    def add(self, node: Node, value: str) -> None:
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

    def step(self, kind: Kind, node: Node, **settings: float | str) -> None:
        self.steps.append(Step(kind, node.name or node.outputs[0], settings))

    def add_convolution(self, node: Node) -> None:
        weight, name = self.weight(node, 1)
        if weight.ndim != 4:
            self.fail(node, f"has weights of {weight.ndim} dimensions, not of 4")
        if any(each != 1 for each in self.wholes(node, "dilations")):
            self.fail(node, "is dilated, as no layer of an AlexNet is")
        kernel, stride, before, after = self.window(node, weight.shape[2:])
        groups = self.whole(node, "group", 1)
        self.step("convolution", node, kernel=kernel, stride=stride, before=before, after=after, groups=groups)
        self.keep(node, weight, name, self.weight(node, 2)[0] if len(node.inputs) > 2 and node.inputs[2] else None)

    def add_dense(self, node: Node) -> None:
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

    def add_bias(self, node: Node, value: str) -> None:
        """Add what a MatMul, which has no bias of its own, is followed by."""
        other = next((index for index, name in enumerate(node.inputs) if name != value), None)
        if not self.steps or self.steps[-1].kind != "dense" or other is None:
            self.fail(node, "adds to something other than a dense layer")
        bias, _ = self.weight(node, other)
        last = self.layers[-1]
        name = last.weight_name.rpartition(".")[0]
        added = bias.reshape(-1) + last.bias.numpy() if bias.size == len(last.bias) else bias
        self.layers[-1] = layer_of(self.path, name, last.weight.numpy(), added, ("weight", "bias"))

    def keep(self, node: Node, weight: NDArray[Any], name: str, bias: NDArray[Any] | None) -> None:
        self.layers.append(layer_of(self.path, node.name or name, weight, bias, ("weight", "bias")))

    def window(self, node: Node, shape: tuple[int, ...] = ()) -> tuple[int, int, int, int]:
        """Kernel, stride and padding before and after, which must be the same in both directions."""
        kernel = self.wholes(node, "kernel_shape") or list(shape)
        strides, pads = self.wholes(node, "strides") or [1], self.wholes(node, "pads") or [0, 0, 0, 0]
        if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "", "VALID"):
            self.fail(node, f"pads by {node.attributes['auto_pad']}: save the net with explicit pads")
        is_square = len(set(kernel)) == len(set(strides)) == 1 and len(pads) == 4 and pads[::2] == pads[1::2]
        if not is_square or 0 in strides or 0 in kernel:
            sizes = f"{kernel[:4]}, strides of {strides[:4]} and pads of {pads[:4]}"
            self.fail(node, f"has a window of {sizes}: AlexNet's are square")
        return kernel[0], strides[0], pads[0], pads[2]

    def weight(self, node: Node, index: int) -> tuple[NDArray[Any], str]:
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
            tensor = value if isinstance(value, Tensor) else None
        if tensor is None:
            self.fail(node, f"takes its input {index}, {name!r}, from no constant: weights are computed in this net")
        array = values_of(self.path, tensor, name)
        return (array.T if transposed else array), name

    def wholes(self, node: Node, name: str) -> list[int]:
        values = node.attributes.get(name, [])
        if not isinstance(values, list) or not all(isinstance(v, int) and 0 <= v < 1 << 16 for v in values):
            self.fail(node, f"has {name} that are not small whole numbers")
        return values

    def whole(self, node: Node, name: str, default: int) -> int:
        value = node.attributes.get(name, default)
        if not isinstance(value, int) or not 0 <= value < 1 << 16:
            self.fail(node, f"has a {name} that is not a small whole number")
        return value if name != "size" else max(1, value)

    def number(self, node: Node, name: str, default: float) -> float:
        value = node.attributes.get(name, default)
        if not isinstance(value, int | float) or not np.isfinite(value):
            self.fail(node, f"has a {name} that is not a number")
        return float(value)
