"""Which pixels a unit sees: windows, followed back through the operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Op = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Rows and columns of a map or an image, the last ones excluded; it may reach over the edges."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left


def before(op: Op, window: Window, shape: Sequence[int]) -> Window:
    """What the places in `window` of an operation's output take from its input, whose maps have sides `shape`."""
    kind = op["op"]
    if kind in ("conv", "max_pool", "mean_pool"):
        (top, bottom), (left, right) = (
            _reach(first, last, op["kernel"][i], op["stride"][i], op["padding"][i], op.get("dilation", (1, 1))[i])
            for i, (first, last) in enumerate(((window.top, window.bottom), (window.left, window.right)))
        )
        return Window(top, bottom, left, right)
    if kind == "adaptive_pool":
        high, wide = (op["out"][i] or shape[i] for i in (0, 1))
        return Window(
            window.top * shape[0] // high,
            -(-window.bottom * shape[0] // high),
            window.left * shape[1] // wide,
            -(-window.right * shape[1] // wide),
        )
    if kind == "pad":
        return Window(
            window.top - op["top"], window.bottom - op["top"], window.left - op["left"], window.right - op["left"]
        )
    if kind == "within_norm":
        reach = op["size"] // 2
        return Window(window.top - reach, window.bottom + reach, window.left - reach, window.right + reach)
    return window


def strongest(ops: Sequence[Op], outputs: Sequence[Tensor], first: int, last: int, channel: int, at: int) -> Window:
    """The window, in the output of operation `first`, behind one place of one channel after operation `last`.

    Through pools of maxima only the place that gave the maximum is followed.

    Args:
        ops: all operations.
        outputs: [C, H, W] of each for one image.
        first: position of a convolution.
        last: position of a later operation of the same level.
        channel: of the output of `last`.
        at: place in that output, counted along its rows.
    """
    y, x = divmod(at, outputs[last].shape[2])
    window = Window(y, y + 1, x, x + 1)
    for i in range(last, first, -1):
        given = outputs[i - 1]
        window = before(ops[i], window, given.shape[1:])
        is_max = ops[i]["op"] == "max_pool" or (ops[i]["op"] == "adaptive_pool" and ops[i]["kind"] == "max")
        if is_max and window.height > 0:
            window = _largest(given[channel], window, ops[i])
    return window


def to_image(ops: Sequence[Op], shapes: Sequence[Sequence[int]], op: int, window: Window) -> Window:
    """What the places in `window` of the output of operation `op` see of the image.

    Args:
        ops: all operations.
        shapes: sides of what each operation is given.
        op: position of the operation.
        window: in its output.
    """
    for i in range(op, -1, -1):
        window = before(ops[i], window, shapes[i])
    return window


def _reach(first: int, last: int, kernel: int, stride: int, padding: int, dilation: int) -> tuple[int, int]:
    begin = first * stride - padding
    return begin, (last - 1) * stride - padding + dilation * (kernel - 1) + 1


def _largest(map_HW: Tensor, window: Window, op: Op) -> Window:
    dy, dx = op.get("dilation", (1, 1))
    H, W = map_HW.shape
    rows = torch.tensor([y for y in range(window.top, window.bottom, dy) if 0 <= y < H])
    columns = torch.tensor([x for x in range(window.left, window.right, dx) if 0 <= x < W])
    inside = map_HW[rows][:, columns]
    row, column = divmod(int(inside.argmax()), len(columns))
    y, x = int(rows[row]), int(columns[column])
    return Window(y, y + 1, x, x + 1)
