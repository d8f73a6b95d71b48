"""What a reader finds in a file: layers with weights, and where it says so, the steps of the net and its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet.errors import UserError

Kind = Literal["convolution", "dense", "normalisation", "max pooling", "activation"]


@dataclass(frozen=True)
class Layer:
    """A convolution or dense layer."""

    weight_name: str
    weight: Tensor
    """[outputs, inputs / groups, height, width], or [outputs, inputs]."""
    bias_name: str
    bias: Tensor
    """[outputs]."""


@dataclass(frozen=True)
class Step:
    """What a net does to its maps, as far as it matters to their values.

    Settings by kind: convolution: `kernel`, `stride`, `before` and `after` (padding in px at the top and left, at the
    bottom and right), `groups`; dense: none; normalisation: `maps`, `alpha` (what each square is multiplied by),
    `beta`, `k`; max pooling: `kernel`, `stride`, `before`, `after`, `ceil` (1 where the last window may reach over
    the edge); activation: `function`.
    """

    kind: Kind
    name: str
    settings: Mapping[str, float | str]


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How a net's input is made of 8-bit pixels: `(pixel - mean) * scale`."""

    bgr: bool = False
    """Whether the first layer's weights take blue, green and red, in this order."""
    scale: float | None = 1.0
    """None: unknown."""
    squashes: bool = False
    """Whether pictures that are not square were squashed to it, instead of cut."""
    mean: tuple[float, ...] | None = None
    """Of each channel, in grey levels of 0..255; red first, whatever the net's order."""
    mean_image: NDArray[np.float32] | None = None
    """[C, H, W] in grey levels of 0..255, red first; its centre is the mean of the net's input."""


@dataclass(frozen=True, kw_only=True)
class ForeignNet:
    """A net in another framework's file."""

    what: str
    """The format, for people."""
    layers: Sequence[Layer]
    """In the order of computation."""
    in_file_order: Sequence[Layer] | None = None
    """Another order they may have, where the file does not say which one it is."""
    steps: Sequence[Step] | None = None
    """All of them in order, without those that change nothing when classes are compared; None: the file has none."""
    image_px: int | None = None
    pixels: Pixels | None = None
    """None: the file says nothing of its input."""
    class_names: tuple[str, ...] | None = None
    published: str | None = None
    """What its authors report of these very weights."""


def layer_of(
    path: Path, name: str, weight: NDArray[np.floating], bias: NDArray[np.floating] | None, parts: tuple[str, str]
) -> Layer:
    """A `Layer` from arrays, which are copied as fp32; a missing bias is zeros.

    Args:
        path: the file, for errors.
        name: of the layer.
        weight: in torch's order of axes.
        bias: one number an output, in any shape.
        parts: what weight and bias are called in errors, after the layer's name.

    Raises:
        UserError: there are not as many biases as outputs, or a value is not finite.
    """
    outputs = weight.shape[0]
    if bias is not None and bias.size != outputs:
        raise UserError(f"{path}: layer {name!r} has {outputs} outputs and {bias.size} biases: the file is damaged")
    values = np.zeros(outputs, np.float32) if bias is None else bias.reshape(-1)
    tensors = as_tensor(weight), as_tensor(values)
    if not all(torch.isfinite(tensor.sum(dtype=torch.float64)) for tensor in tensors):
        raise UserError(f"{path}: layer {name!r} holds NaN or infinity: the file is damaged, or training diverged")
    return Layer(f"{name}.{parts[0]}", tensors[0], f"{name}.{parts[1]}", tensors[1])


def as_tensor(array: NDArray[np.floating]) -> Tensor:
    """A copy of `array` as fp32, contiguous and in the machine's byte order."""
    with np.errstate(over="ignore"):  # what fp32 cannot hold becomes infinity
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
