"""Plain JPEGs, which fill the folders of the common data sets, through simplejpeg.

The pixels are those of Pillow, as both use libjpeg-turbo, in less time (a quarter for small ones).
"""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from numpy.typing import NDArray

# A JPEG is decoded at 1/2, 1/4 or 1/8 while its short side stays at twice what is asked for or more: Pillow's own
# margin for thumbnails, and the memory of a huge photograph shrinks up to 64 times.
DRAFT_MARGIN = 2
# Pillow refuses twice its MAX_IMAGE_PIXELS; the same bound holds here for a JPEG after its reduction.
LARGEST_PIXELS = 178_956_970
EXIF_ORIENTATION = 0x0112


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG, by its head; None: another format, or broken."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return width, height


def decode_small_into(out_HWC: NDArray[np.uint8], data: bytes) -> bool:
    """Decode a plain JPEG that has the size of `out_HWC` already; False: leave it to Pillow.

    Left to Pillow: other formats and sizes, CMYK, rotation (an APP1 segment holds EXIF and XMP), colour to grey
    (libjpeg's own luma rounds differently), and anything libjpeg complains of.
    """
    if data[:2] != b"\xff\xd8" or b"\xff\xe1" in data:
        return False
    image_px, _, in_channels = out_HWC.shape
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height != image_px or width != image_px or colours not in ("Gray", "YCbCr"):
            return False
        if in_channels == 1 and colours != "Gray":
            return False
        simplejpeg.decode_jpeg(data, "GRAY" if in_channels == 1 else "RGB", buffer=out_HWC)
    except ValueError:
        return False
    return True


def decode_plain(data: bytes, image_px: int | None, in_channels: int) -> NDArray[np.uint8] | None:
    """Pixels of a plain JPEG, see `decode.decode_pixels`; None: leave it to Pillow, as `decode_small_into` does."""
    if data[:2] != b"\xff\xd8" or (b"\xff\xe1" in data and _is_turned(data)):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("Gray", "YCbCr") or (in_channels == 1 and colours != "Gray"):
            return None
        reduction = _reduction(width, height, image_px)
        height, width = -(-height // reduction), -(-width // reduction)
        if width * height > LARGEST_PIXELS:
            return None
        # With no bound it decodes at full size; with this one, at exactly that fraction.
        least = (height, width) if reduction > 1 else (0, 0)
        mode = "GRAY" if colours == "Gray" else "RGB"
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, mode, min_height=least[0], min_width=least[1])
    except ValueError:
        return None
    return pixels


def _is_turned(data: bytes) -> bool:
    """Whether the JPEG's EXIF data asks for a rotation, or cannot be read."""
    from PIL import JpegImagePlugin

    try:
        return bool(JpegImagePlugin.JpegImageFile(io.BytesIO(data)).getexif().get(EXIF_ORIENTATION, 1) != 1)
    except Exception:  # Pillow decodes it, and says what is wrong
        return True


def _reduction(width: int, height: int, image_px: int | None) -> int:
    """1, 2, 4 or 8: what part of its size a JPEG is decoded at, as Pillow's draft mode chooses it."""
    if image_px is None:
        return 1
    times = min(width, height) // (DRAFT_MARGIN * image_px)
    return next((part for part in (8, 4, 2) if times >= part), 1)
