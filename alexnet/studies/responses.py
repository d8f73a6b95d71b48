"""What the levels of a network respond to: the parts of images that excite single units most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alexnet.evaluation.report import style
from alexnet.files import atomic_write

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_UNITS, _ACROSS = 7, 3  # units a level, and image parts along each side of a unit's square
_PART_PX, _GAP_PX = 40, 2
_LABEL_PX, _ROW_PX, _WIDTH_PX = 12, 120, 800


@dataclass(frozen=True)
class Field:
    """The part of the image that a place of a map sees, along each side: `size` px from `first + place * step`."""

    size: int
    first: int = 0
    step: int = 1

    def behind(self, kernel: int, stride: int, padding: int) -> Field:
        """The field of the next layer."""
        return Field(self.size + (kernel - 1) * self.step, self.first - padding * self.step, self.step * stride)


@dataclass(frozen=True)
class Level:
    """The answers of one level to N images."""

    name: str
    strongest_NU: Tensor
    """Of each unit; of a convolution's map, its largest answer."""
    place_NU: Tensor
    """Index of that answer in the map, whose rows are `columns` long."""
    columns: int
    field: Field | None
    """None: the whole image."""


def write_responses(path: Path, model: torch.nn.Module, x_NCHW: Tensor, pixels_NHWC: Tensor) -> None:
    """Draw a row a level, a square a unit: the nine images, or parts, that excite it most.

    The units shown are those that nine images excite most above the mean of all images.

    Args:
        path: the PNG file.
        model: a network whose activations are called act1, act2, ...; those of maps are in its `features`.
        x_NCHW: its input.
        pixels_NHWC: the same images, uint8.
    """
    images_NHWC = pixels_NHWC.numpy()
    drawing = style.figure(_WIDTH_PX, 1)
    levels = answers(model, x_NCHW)
    drawing.set_figheight(drawing.get_figwidth() * len(levels) * _ROW_PX / _WIDTH_PX)
    for row, level in zip(drawing.subplots(len(levels), _UNITS, squeeze=False), levels, strict=True):
        for axes, unit in zip(row, chosen_units(level), strict=True):
            axes.imshow(_square(level, unit, images_NHWC))
            axes.set_axis_off()
        seen = "whole image" if level.field is None else f"{level.field.size} px"
        row[0].set_axis_on()
        row[0].set(xticks=[], yticks=[])
        row[0].spines[:].set_visible(False)
        row[0].set_ylabel(f"{level.name}\n{seen}", color=style.INK, fontsize=_LABEL_PX)
    with atomic_write(path) as part:
        part.write_bytes(style.png(drawing, scale=1.5))


def answers(model: torch.nn.Module, x_NCHW: Tensor) -> list[Level]:
    """The strongest answer of every unit behind an activation to each image, dropout off."""
    import torch

    parts: dict[str, list[tuple[Tensor, Tensor]]] = {}
    columns: dict[str, int] = {}
    fields = {name: field for name, field in _fields(model).items() if name.startswith("act")}

    def look(name: str) -> Any:
        def hook(_layer: object, _inputs: object, out: Tensor) -> None:
            columns[name] = out.shape[-1] if out.ndim == 4 else 1
            strongest = out.flatten(2).max(2) if out.ndim == 4 else (out, torch.zeros_like(out, dtype=torch.int64))
            parts.setdefault(name, []).append((strongest[0], strongest[1]))

        return hook

    layers = [(path.rpartition(".")[2], layer) for path, layer in model.named_modules()]
    hooks = [layer.register_forward_hook(look(name)) for name, layer in layers if name.startswith("act")]
    with torch.inference_mode():
        for some in torch.split(x_NCHW, 500):
            model.eval()(some)
    for hook in hooks:
        hook.remove()
    return [
        Level(
            name=f"{'conv' if name in fields else 'fc'}{name.removeprefix('act')}",
            strongest_NU=torch.cat([strongest_NU for strongest_NU, _ in of_batches]),
            place_NU=torch.cat([place_NU for _, place_NU in of_batches]),
            columns=columns[name],
            field=fields.get(name),
        )
        for name, of_batches in parts.items()
    ]


def chosen_units(level: Level) -> list[int]:
    """The units that their nine strongest images excite most above the mean of all, strongest first."""
    top_U = level.strongest_NU.topk(min(_ACROSS**2, len(level.strongest_NU)), dim=0).values.mean(0)
    contrast_U = top_U / level.strongest_NU.mean(0).clamp(min=1e-6)
    units: list[int] = contrast_U.topk(min(_UNITS, len(contrast_U))).indices.tolist()
    return units


def _fields(model: torch.nn.Module) -> dict[str, Field]:
    """What a place sees behind each layer of `features`."""
    fields, field = {}, Field(1)
    for name, layer in model.features.named_children():  # type: ignore[union-attr]
        if hasattr(layer, "kernel_size"):
            field = field.behind(*(_side(layer, what) for what in ("kernel_size", "stride", "padding")))
        fields[name] = field
    return fields


def _side(layer: torch.nn.Module, what: str) -> int:
    value: Any = getattr(layer, what)
    return int(value[0] if isinstance(value, Sequence) else value)


def _square(level: Level, unit: int, images_NHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The parts that excite `unit` most, strongest at the top left, on white."""
    best = level.strongest_NU[:, unit].topk(min(_ACROSS**2, len(images_NHWC))).indices.tolist()
    step = _PART_PX + _GAP_PX
    square = np.full((_ACROSS * step, _ACROSS * step, 3), 255, dtype=np.uint8)
    for i, image in enumerate(best):
        row, column = (step * place for place in divmod(i, _ACROSS))
        part_HWC = _seen(images_NHWC[image], level.field, *divmod(int(level.place_NU[image, unit]), level.columns))
        square[row : row + _PART_PX, column : column + _PART_PX] = _enlarged(part_HWC)
    return square


def _seen(image_HWC: NDArray[np.uint8], field: Field | None, row: int, column: int) -> NDArray[np.uint8]:
    """What a place of a map sees of an image; grey beyond its edge."""
    if field is None:
        return image_HWC
    border = field.size
    padded = np.pad(image_HWC, ((border, border), (border, border), (0, 0)), constant_values=128)
    top, left = (border + field.first + place * field.step for place in (row, column))
    return padded[top : top + field.size, left : left + field.size]


def _enlarged(part_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    H, W = part_HWC.shape[:2]
    rows, columns = (np.arange(_PART_PX) * side // _PART_PX for side in (H, W))
    enlarged: NDArray[np.uint8] = part_HWC[rows[:, None], columns]
    return enlarged
