"""Pictures inside the page: data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

_QUALITY = 74
_FEW_PIXELS = 60_000
"""Sprites up to this size lose nothing."""


def webp(pixels_HWC: NDArray[Any], *, lossless: bool) -> str:
    """A picture, uint8 [H, W, 1 or 3], as a data URI."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels_HWC if pixels_HWC.shape[2] == 3 else pixels_HWC[..., 0]))
    file = io.BytesIO()
    # Method 6 looks longest for a small file; lossless pictures keep their pixels exactly.
    image.convert("RGB").save(file, "WEBP", lossless=lossless, quality=100 if lossless else _QUALITY, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def sprite(tiles_RCHWC: NDArray[np.uint8]) -> str:
    """Rows of tiles, uint8 [rows, columns, H, W, channels], as one picture."""
    R, C, H, W, channels = tiles_RCHWC.shape
    whole = tiles_RCHWC.transpose(0, 2, 1, 3, 4).reshape(R * H, C * W, channels)
    return webp(whole, lossless=whole.shape[0] * whole.shape[1] <= _FEW_PIXELS)
