"""Pixels for the page: heat over an image, maps in colour, and files that are also `data:` URIs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FOR, _AGAINST = (0, 114, 178), (213, 94, 0)
# Dark, blue, white: a map lights up where it answers.
_LIGHT = np.array([[13, 17, 23], [0, 90, 150], [86, 180, 233], [255, 255, 255]], dtype=np.float64)
_LOSSLESS_PX = 64


def heat(x_HWC: NDArray[np.uint8], attribution_HW: NDArray[Any]) -> NDArray[np.uint8]:
    """An attribution over its image, faded to grey: blue where it is positive, orange where negative.

    Args:
        x_HWC: uint8, 1 or 3 channels.
        attribution_HW: floats; scaled by the size that 99% of the pixels stay below.

    Returns:
        uint8 [H, W, 3].
    """
    grey_HW = x_HWC.astype(np.float64).mean(2)
    base_HWC = np.repeat((120 + 0.5 * grey_HW)[..., None], 3, axis=2)
    size_HW = np.abs(np.nan_to_num(attribution_HW.astype(np.float64)))
    limit = np.quantile(size_HW, 0.99) or size_HW.max()
    share_HW = np.clip(size_HW / (limit if limit > 0 else 1), 0, 1)[..., None] ** 0.8
    color_HWC = np.where(attribution_HW[..., None] >= 0, _FOR, _AGAINST)
    mixed: NDArray[np.uint8] = np.rint(base_HWC * (1 - 0.9 * share_HW) + color_HWC * 0.9 * share_HW).astype(np.uint8)
    return mixed


def lit(map_HW: NDArray[Any]) -> NDArray[np.uint8]:
    """A map, dark where it answers least and light where it answers most: uint8 [H, W, 3]."""
    values = np.nan_to_num(map_HW.astype(np.float64))
    spread = values.max() - values.min()
    at = (values - values.min()) / (spread if spread > 0 else 1) * (len(_LIGHT) - 1)
    below = np.minimum(at.astype(int), len(_LIGHT) - 2)
    part = (at - below)[..., None]
    mixed: NDArray[np.uint8] = np.rint(_LIGHT[below] * (1 - part) + _LIGHT[below + 1] * part).astype(np.uint8)
    return mixed


def encoded(pixels_HWC: NDArray[np.uint8], kind: str = "png") -> bytes:
    """An image, uint8 [H, W, 1, 3 or 4], as a file's bytes: png, jpeg or webp."""
    from PIL import Image

    image = Image.fromarray(pixels_HWC[..., 0] if pixels_HWC.shape[2] == 1 else pixels_HWC)
    buffer = io.BytesIO()
    image.save(buffer, format=kind.upper(), **({} if kind == "png" else {"quality": 84}))
    return buffer.getvalue()


def uri(pixels_HWC: NDArray[np.uint8]) -> str:
    """An image as a `data:` URI: PNG where small, else WebP with alpha or JPEG."""
    large = "webp" if pixels_HWC.shape[2] == 4 else "jpeg"
    kind = "png" if max(pixels_HWC.shape[:2]) <= _LOSSLESS_PX else large
    return f"data:image/{kind};base64,{base64.b64encode(encoded(pixels_HWC, kind)).decode('ascii')}"


def side_by_side(pictures: list[NDArray[np.uint8]], columns: int, tile_px: int, gap_px: int = 4) -> NDArray[np.uint8]:
    """Pictures in a grid on white, each enlarged or shrunk to `tile_px`: uint8 [height, width, 3]."""
    from alexnet.explain.neighbours import fitted

    rows = -(-len(pictures) // columns)
    step = tile_px + gap_px
    canvas = np.full((rows * step - gap_px, min(columns, len(pictures)) * step - gap_px, 3), 255, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (place * step for place in divmod(i, columns))
        canvas[y : y + tile_px, x : x + tile_px] = fitted(picture, tile_px)
    return canvas
