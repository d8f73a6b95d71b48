"""Pixels as pictures: filters in a grid, images as data URIs.

Shapes: O filters, C channels, H W pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.data import decode_image
from alexnet.errors import UserError

_WIDTH_PX = 640  # filters are enlarged by a whole factor up to about this width
_LOSSLESS_PX = 64  # larger photographs are stored as JPEG, a tenth of the bytes
_LARGEST_PX = 256
_THUMBNAIL_PX = 160


def thumbnail(file: Path) -> str | None:
    """A photograph of at most 160 px a side as a `data:` URI; None where it cannot be read."""
    try:
        image = decode_image(file, image_px=_THUMBNAIL_PX).convert("RGB")
    except UserError:
        return None
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    return data_uri(np.asarray(image))


def with_pictures(folder: Path, files: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each of the files in `folder` with its thumbnail."""
    return [(file, thumbnail(folder / file)) for file in files]


def filters_picture(filters_OCHW: NDArray[Any], columns: int | None = None) -> NDArray[np.uint8]:
    """All filters of a layer side by side, enlarged to show single weights.

    Each filter is scaled by its own largest weight, symmetrically: zero is mid-grey (127 or 128), the largest
    weight in size black or white. Filters of 3 channels are shown as RGB, of 1 channel as grey. Weights that are
    NaN or infinite are shown as zero.

    Args:
        filters_OCHW: a convolution's weights, floats, C = 1 or 3.
        columns: filters side by side; None: 8, or 16 of more than 48.

    Returns:
        uint8 [height, width, 4], RGBA with transparent gaps between the filters.

    Raises:
        ValueError: the shape is not [O, 1 or 3, H, W] with at least one filter.
    """
    if filters_OCHW.ndim != 4 or 0 in filters_OCHW.shape or filters_OCHW.shape[1] not in (1, 3):
        raise ValueError(f"filters of shape {list(filters_OCHW.shape)} cannot be shown: [O, 1 or 3, H, W] can")
    number, _, H, W = filters_OCHW.shape
    weights_OHWC = np.nan_to_num(filters_OCHW.astype(np.float64), posinf=0, neginf=0).transpose(0, 2, 3, 1)
    largest_O = np.abs(weights_OHWC).max(axis=(1, 2, 3), keepdims=True)
    level_OHWC = 127.5 + 127.5 * weights_OHWC / np.where(largest_O > 0, largest_O, 1)

    columns = min(number, columns or columns_for(number))
    rows = -(-number // columns)
    scale = max(1, _WIDTH_PX // (columns * (W + 1)))
    gap = max(1, scale // 2)
    step_y, step_x = H * scale + gap, W * scale + gap
    picture = np.zeros((rows * step_y - gap, columns * step_x - gap, 4), dtype=np.uint8)
    tiles_OHWC = np.rint(level_OHWC).astype(np.uint8).repeat(scale, axis=1).repeat(scale, axis=2)
    for i, tile_HWC in enumerate(tiles_OHWC):
        y, x = i // columns * step_y, i % columns * step_x
        picture[y : y + H * scale, x : x + W * scale, :3] = tile_HWC
        picture[y : y + H * scale, x : x + W * scale, 3] = 255
    return picture


def columns_for(number: int) -> int:
    """Filters side by side of so many in all."""
    return 8 if number <= 48 else 16


def color_share(filters_OCHW: NDArray[Any]) -> float:
    """Share of the weights' squares, 0..1, that is not common to the channels: 0 for grey filters, or none at all."""
    weights_OCHW = np.nan_to_num(filters_OCHW.astype(np.float64), posinf=0, neginf=0)
    color_OCHW = weights_OCHW - weights_OCHW.mean(axis=1, keepdims=True)
    total = float((weights_OCHW**2).sum())
    return float((color_OCHW**2).sum()) / total if total > 0 else 0.0


def data_uri(pixels_HWC: NDArray[np.uint8]) -> str:
    """An image, uint8 [H, W, 1, 3 or 4], as a `data:` URI: PNG, or JPEG for large photographs.

    Images with alpha stay PNG; photographs of more than 256 px are shrunk to that.
    """
    from PIL import Image

    image = Image.fromarray(pixels_HWC[..., 0] if pixels_HWC.shape[2] == 1 else pixels_HWC)
    buffer = io.BytesIO()
    if image.mode == "RGBA" or max(image.size) <= _LOSSLESS_PX:
        kind = "png"
        image.save(buffer, format="PNG", optimize=True)
    else:
        kind = "jpeg"
        image.thumbnail((_LARGEST_PX, _LARGEST_PX))
        image.save(buffer, format="JPEG", quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
