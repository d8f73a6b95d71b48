"""Preprocessing as ONNX operators: from a picture of any size to the network's input.

Resizing is that of the package to the last bit: antialiased bilinear in integers, columns before rows, as torch's
`interpolate` computes bytes. The weights depend on the picture's size, so the graph itself computes them, in double;
sums of products of integers are exact there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from alexnet.card import Preprocessing

OPSET = 20
_LONGEST_ASPECT = 16  # as `alexnet.data.images.decode` cuts longer pictures
_MOST_BITS = 22  # of the weights' common denominator, as torch has it
_LUMA = (19595, 38470, 7471)  # ITU-R 601 in 1/65536, as Pillow converts to grey


class Builder:
    """Nodes of a graph, in order, whose names are made up here."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def __call__(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, and return that output's name."""
        from onnx import helper

        output = name or self._name(operator.lower())
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output + "_node", **attributes))
        return output

    def constant(self, value: Any, dtype: Any) -> str:
        """A constant's name."""
        from onnx import numpy_helper

        name = self._name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def int64(self, value: Any) -> str:
        """An int64 constant's name."""
        return self.constant(value, np.int64)

    def double(self, value: Any) -> str:
        """A double constant's name."""
        return self.constant(value, np.float64)

    def to_double(self, value: str) -> str:
        """`value` as double."""
        return self("Cast", value, to=11)

    def to_int64(self, value: str) -> str:
        """`value`, whole, as int64."""
        return self("Cast", value, to=7)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"image/{kind}_{self._count}"


def add_preprocessing(
    g: Builder, image: str, output: str, how: Preprocessing, scale: Sequence[float], shift: Sequence[float]
) -> None:
    """Add all of it to `g`.

    Args:
        g: the graph.
        image: name of uint8 [N, H, W, 3], RGB.
        output: name that float32 [N, C, image_px, image_px] gets.
        how: the preprocessing.
        scale: for each channel, what its levels are multiplied by.
        shift: what is then added.
    """
    x_NCHW = g.to_double(g("Transpose", image, perm=[0, 3, 1, 2]))
    if how.in_channels == 1:
        x_NCHW = _luma(g, x_NCHW)
    height, width = _sizes(g, x_NCHW)
    side = how.square_px
    if how.fit == "crop":
        x_NCHW, height, width = _bounded(g, x_NCHW, height, width)
        short = g("Min", height, width)
        x_NCHW = _along(g, x_NCHW, width, _scaled(g, side, width, short), side, across=True)
        x_NCHW = _along(g, x_NCHW, height, _scaled(g, side, height, short), side, across=False)
    elif how.fit == "squash":
        x_NCHW = _along(g, x_NCHW, width, g.int64([side]), None, across=True)
        x_NCHW = _along(g, x_NCHW, height, g.int64([side]), None, across=False)
    else:
        long, one = g("Max", height, width), g.int64([1])
        high, wide = (g("Max", one, _scaled(g, side, size, long)) for size in (height, width))
        x_NCHW = _along(g, x_NCHW, width, wide, None, across=True)
        x_NCHW = _along(g, x_NCHW, height, high, None, across=False)
        x_NCHW = _between_bars(g, x_NCHW, side, high, wide)
    far = side - how.image_px
    if far:
        begin = far // 2
        x_NCHW = g(
            "Slice", x_NCHW, g.int64([begin] * 2), g.int64([begin + how.image_px] * 2), g.int64([2, 3])
        )  # the square's centre
    levels_NCHW = g("Cast", x_NCHW, to=1)
    shape = (1, how.in_channels, 1, 1)
    scaled = g("Mul", levels_NCHW, g.constant(np.reshape(scale, shape), np.float32))
    g("Add", scaled, g.constant(np.reshape(shift, shape), np.float32), name=output)


def _sizes(g: Builder, x_NCHW: str) -> tuple[str, str]:
    """Height and width, int64 [1] each."""
    shape = g("Shape", x_NCHW)
    return g("Gather", shape, g.int64([2])), g("Gather", shape, g.int64([3]))


def _luma(g: Builder, x_NCHW: str) -> str:
    """Grey as Pillow makes it: 16-bit weights, rounded."""
    weighted = g("Mul", x_NCHW, g.double(np.reshape(_LUMA, (1, 3, 1, 1))))
    total = g("ReduceSum", weighted, g.int64([1]), keepdims=1)
    return g("Floor", g("Div", g("Add", total, g.double(0x8000)), g.double(0x10000)))


def _bounded(g: Builder, x_NCHW: str, height: str, width: str) -> tuple[str, str, str]:
    """The middle of a picture that is many times longer than wide, and its size."""
    longest = g("Mul", g.int64([_LONGEST_ASPECT]), g("Min", height, width))
    begins, ends = [], []
    for size in (height, width):
        begin = g("Div", g("Max", g.int64([0]), g("Sub", size, longest)), g.int64([2]))
        begins.append(begin)
        ends.append(g("Sub", size, begin))
    begin2, end2 = g("Concat", *begins, axis=0), g("Concat", *ends, axis=0)
    cut = g("Slice", x_NCHW, begin2, end2, g.int64([2, 3]))
    return cut, g("Sub", ends[0], begins[0]), g("Sub", ends[1], begins[1])


def _scaled(g: Builder, side: int, size: str, of: str) -> str:
    """`side * size // of`."""
    return g("Div", g("Mul", g.int64([side]), size), of)


def _along(g: Builder, x_NCHW: str, inputs: str, outputs: str, centre: int | None, *, across: bool) -> str:
    """Resize one side from `inputs` to `outputs` pixels, of which the `centre` are kept; None: all."""
    weights_OI, divisor = _weights(g, inputs, outputs)
    if centre is not None:
        over = g.to_double(g("Sub", outputs, g.int64([centre])))
        begin = g.to_int64(g("Round", g("Mul", over, g.double([0.5]))))  # half to even, as Python's
        weights_OI = g("Slice", weights_OI, begin, g("Add", begin, g.int64([centre])), g.int64([0]))
    factors = (x_NCHW, g("Transpose", weights_OI, perm=[1, 0])) if across else (weights_OI, x_NCHW)
    sums = g("MatMul", *factors)
    rounded = g("Floor", g("Add", g("Div", sums, divisor), g.double(0.5)))
    return g("Min", rounded, g.double(255.0))


def _weights(g: Builder, inputs: str, outputs: str) -> tuple[str, str]:
    """Whole-numbered weights, double [outputs, inputs], and what sums are divided by, double [1]."""
    zero, one = g.int64(0), g.int64(1)
    n_in, n_out = g.to_double(inputs), g.to_double(outputs)
    scale = g("Div", n_in, n_out)
    stretch = g("Max", scale, g.double([1.0]))
    half = g.double(0.5)
    place_O = g.to_double(g("Range", zero, g("Squeeze", outputs), one))
    pixel_I = g.to_double(g("Range", zero, g("Squeeze", inputs), one))
    centre_O1 = g("Unsqueeze", g("Mul", scale, g("Add", place_O, half)), g.int64([1]))
    begin_O1 = g("Max", g("Floor", g("Add", g("Sub", centre_O1, stretch), half)), g.double(0.0))
    end_O1 = g("Min", g("Floor", g("Add", g("Add", centre_O1, stretch), half)), n_in)
    distance_OI = g("Abs", g("Div", g("Add", g("Sub", pixel_I, centre_O1), half), stretch))
    share_OI = g("Max", g("Sub", g.double(1.0), distance_OI), g.double(0.0))
    for outside in (g("Less", pixel_I, begin_O1), g("GreaterOrEqual", pixel_I, end_O1)):
        share_OI = g("Mul", share_OI, g.to_double(g("Not", outside)))
    share_OI = g("Div", share_OI, g("ReduceSum", share_OI, g.int64([1]), keepdims=1))
    # As many bits as keep the largest weight within 16: they are counted.
    largest = g("ReduceMax", share_OI, keepdims=0)
    powers = g.double([2.0**bits for bits in range(1, _MOST_BITS + 1)])
    fits = g("Less", g("Floor", g("Add", g("Mul", powers, largest), half)), g.double(2.0**15))
    bits = g("ReduceSum", g.to_int64(fits), keepdims=1)
    divisor = g("Gather", g.double([2.0**bits for bits in range(_MOST_BITS + 1)]), bits)
    return g("Floor", g("Add", g("Mul", share_OI, divisor), half)), divisor


def _between_bars(g: Builder, x_NCHW: str, side: int, high: str, wide: str) -> str:
    """The picture in the middle of a black square."""
    before, after = [], []
    for size in (high, wide):
        room = g("Sub", g.int64([side]), size)
        before.append(g("Div", room, g.int64([2])))
        after.append(g("Sub", room, before[-1]))
    none = g.int64([0, 0])
    pads = g("Concat", none, *before, none, *after, axis=0)
    return g("Pad", x_NCHW, pads, g.double(0.0), mode="constant")
