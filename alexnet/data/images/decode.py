"""Image files to pixels: one way for training, checking and prediction.

Pillow reads every format; plain JPEGs take a shortcut, see `jpeg`. Resizing is torch's antialiased bilinear, Pillow's
own algorithm at a quarter of its time. Both leave other threads free to run.
"""

from __future__ import annotations

import functools
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from alexnet.config import Fit
from alexnet.data.images import jpeg
from alexnet.errors import UserError
from alexnet.files import read_bytes, reason_of

if TYPE_CHECKING:
    from PIL import Image

VERSION = 2
"""Raised when the same file gives other pixels than before; decoded caches of other versions are not read."""

EXTENSIONS = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ),
)
"""Endings, in lower case, of the files taken for images."""

# Beyond this many times longer than wide, an image is cut before it is resized: its long side would fill memory.
_LONGEST_ASPECT = 16


# Of the box "ftyp" with which such files begin (ISO/IEC 23008-12, 10).
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")

Pixels = NDArray[np.uint8]


class BadImageError(UserError):
    """An image file that cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot read the image {path}: {reason}")
        self.path = path
        self.reason = reason


def decode_image(file: str | Path | bytes, *, image_px: int | None = None, name: str | None = None) -> Image.Image:
    """The picture in `file`, upright, as 8-bit grey (mode L) or RGB.

    EXIF rotation is applied; transparency is laid on white; 16-bit grey is scaled to 8 bits; of an animation
    the first frame is taken.

    Args:
        file: a path, or the file's content.
        image_px: side the image will be fitted to; a JPEG many times larger is then decoded at a fraction of its
            size, at least twice `image_px`. None: at full size.
        name: what errors call the file; None: its path.

    Raises:
        BadImageError: the file is missing, broken, no image, or too large to decode.
    """
    if isinstance(file, bytes):
        return _decode(file, image_px, name or "given as bytes")
    name = name or str(file)
    try:
        return _decode(read_bytes(file), image_px, name)
    except OSError as error:
        raise BadImageError(name, reason_of(error)) from error


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height as the head of the file `data` says, before anything is decoded and rotated.

    Raises:
        BadImageError: it is no image, or its head is broken; the message calls it `name`.
    """
    if not data:
        raise BadImageError(name, "the file is empty")
    size = jpeg.plain_size(data)
    if size is not None:
        return size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of a size that the caller judges
        try:
            with _open(data, None) as image:
                return image.size
        except Exception as error:
            raise _bad(name, error) from error


def fit_image(
    image: Image.Image | NDArray[np.uint8], image_px: int, in_channels: int, fit: Fit = "crop"
) -> NDArray[np.uint8]:
    """Bring `image` to the network's size: channels, then a square of `image_px`.

    Grey becomes RGB by repetition, RGB grey by ITU-R 601 luma. Resizing is antialiased bilinear; sizes and the cut
    are rounded as in torchvision's `Resize` and `CenterCrop`.

    Args:
        image: a picture from `decode_image`, or uint8 [H, W], [H, W, 1] or [H, W, 3] (RGB).
        image_px: side of the result.
        in_channels: 1 (grey) or 3 (RGB).
        fit: how what is not square becomes so, see `alexnet.card.Preprocessing`.

    Returns:
        uint8 [image_px, image_px, in_channels], contiguous.
    """
    square = to_square(_as_pixels(image, in_channels), image_px, fit)
    # Of its own memory, so that neither the caller's array nor the whole picture stays behind it.
    return np.array(np.broadcast_to(square, (image_px, image_px, in_channels)))


def to_square(pixels_HWC: NDArray[np.uint8], side_px: int, fit: Fit) -> NDArray[np.uint8]:
    """[side_px, side_px, C] of the picture: its centre, all of it between black bars, or all of it, distorted."""
    H, W, C = pixels_HWC.shape
    if fit == "crop" or H == W:
        return centre_square(pixels_HWC, side_px)
    if fit == "squash":
        return _resized(pixels_HWC, side_px, side_px)
    height, width = (max(1, side_px * side // max(H, W)) for side in (H, W))
    top, left = (side_px - height) // 2, (side_px - width) // 2
    square = np.zeros((side_px, side_px, C), np.uint8)
    square[top : top + height, left : left + width] = _resized(pixels_HWC, height, width)
    return square


def centre_square(pixels_HWC: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """View of the centre [side_px, side_px, C] of the picture, after its short side was brought to `side_px`."""
    pixels_HWC = resize_short_side(bounded_aspect(pixels_HWC), side_px)
    H, W, _ = pixels_HWC.shape
    top, left = round((H - side_px) / 2), round((W - side_px) / 2)
    return pixels_HWC[top : top + side_px, left : left + side_px]


def resize_short_side(pixels_HWC: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Resize to a short side of `side_px`, keeping the aspect; itself where it has that already."""
    short = min(pixels_HWC.shape[:2])
    if short == side_px:
        return pixels_HWC
    height, width = (side_px * side // short for side in pixels_HWC.shape[:2])
    return _resized(pixels_HWC, height, width)


def _resized(pixels_HWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    x_1CHW = torch.from_numpy(pixels_HWC).permute(2, 0, 1)[None]
    resized = F.interpolate(x_1CHW, [height, width], mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def decode_into(out_HWC: NDArray[np.uint8], data: bytes, name: str, fit: Fit = "crop") -> None:
    """Decode the file content `data` and fit it to the square `out_HWC`, uint8 [image_px, image_px, C], in place.

    Raises:
        BadImageError: `data` is broken or no image; the message calls it `name`.
    """
    image_px = out_HWC.shape[0]
    if not jpeg.decode_small_into(out_HWC, data):
        out_HWC[:] = decode_square(data, image_px, out_HWC.shape[2], name, fit)


def decode_square(data: bytes, side_px: int, in_channels: int, name: str, fit: Fit = "crop") -> NDArray[np.uint8]:
    """The picture `data` as a square of `side_px`.

    Returns:
        uint8 [side_px, side_px, C]: C is `in_channels`, or 1 for a grey picture; perhaps a view of a larger array.

    Raises:
        BadImageError: `data` is broken or no image; the message calls it `name`.
    """
    return to_square(decode_pixels(data, side_px, in_channels, name), side_px, fit)


def decode_cut_into(
    out_HWC: NDArray[np.uint8], data: bytes, side_px: int, top: int, left: int, name: str, fit: Fit = "crop"
) -> None:
    """Decode into `out_HWC` the part of a picture's square that begins at row `top` and column `left`.

    Args:
        out_HWC: uint8 [image_px, image_px, C].
        data: content of the file.
        side_px: side of the square; what lies outside of it is black.
        top: row in the square, which may be negative.
        left: column likewise.
        name: what errors call the file.
        fit: how the picture becomes that square.

    Raises:
        BadImageError: `data` is broken or no image.
    """
    image_px = out_HWC.shape[0]
    if side_px == image_px and top == left == 0:
        decode_into(out_HWC, data, name, fit)
        return
    square_SSC = decode_square(data, side_px, out_HWC.shape[2], name, fit)
    top_in, bottom_in = max(top, 0), min(top + image_px, side_px)
    left_in, right_in = max(left, 0), min(left + image_px, side_px)
    if (bottom_in - top_in, right_in - left_in) != (image_px, image_px):
        out_HWC[:] = 0
    out_HWC[top_in - top : bottom_in - top, left_in - left : right_in - left] = square_SSC[
        top_in:bottom_in, left_in:right_in
    ]


def decode_pixels(data: bytes, image_px: int | None, in_channels: int, name: str) -> NDArray[np.uint8]:
    """The picture `data` in its own size, or where it is many times `image_px` at a fraction, see `decode_image`.

    Returns:
        uint8 [H, W, C]: C is `in_channels`, or 1 for a grey picture.

    Raises:
        BadImageError: `data` is broken or no image; the message calls it `name`.
    """
    pixels_HWC = jpeg.decode_plain(data, image_px, in_channels)
    return _as_pixels(_decode(data, image_px, name), in_channels) if pixels_HWC is None else pixels_HWC


def decode_exactly_into(out_HWC: NDArray[np.uint8], data: bytes, name: str) -> bool:
    """As `decode_into`, but only for an image that has the size of `out_HWC` already; says whether it has."""
    image_px, _, in_channels = out_HWC.shape
    if jpeg.decode_small_into(out_HWC, data):
        return True
    pixels_HWC = decode_pixels(data, None, in_channels, name)
    if pixels_HWC.shape[:2] != (image_px, image_px):
        return False
    out_HWC[:] = pixels_HWC
    return True


def _decode(data: bytes, image_px: int | None, name: str) -> Image.Image:
    """Upright picture of mode L or RGB; any failure becomes a `BadImageError`."""
    if not data:
        raise BadImageError(name, "the file is empty")
    try:
        image = _open(data, image_px)
        image.load()
        return _to_8_bit(_upright(image))
    # Pillow's plugins let many kinds escape on broken files, SyntaxError and struct.error among them.
    except Exception as error:
        raise _bad(name, error) from error


def _bad(name: str, error: Exception) -> BadImageError:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return BadImageError(name, "not an image in a format that Pillow knows")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning | MemoryError):
        return BadImageError(name, f"too large to decode: {reason_of(error)}")
    return BadImageError(name, reason_of(error))


def _open(data: bytes, image_px: int | None) -> Image.Image:
    from PIL import Image, JpegImagePlugin

    if data[:3] != b"\xff\xd8\xff":
        if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
            _register_heic()
        return Image.open(io.BytesIO(data))
    # Opened by its plugin, a huge JPEG is judged by its size after reduction, not before.
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if image_px is not None:
        image.draft(None, (jpeg.DRAFT_MARGIN * image_px, jpeg.DRAFT_MARGIN * image_px))
    if image.width * image.height > jpeg.LARGEST_PIXELS:
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
    return image


@functools.cache
def _register_heic() -> None:
    """Let Pillow read HEIC, in which telephones keep photographs."""
    try:
        import pillow_heif
    except ImportError:
        raise ValueError("reading HEIC takes another package: pip install 'alexnet[photos]'") from None
    pillow_heif.register_heif_opener()


def _upright(image: Image.Image) -> Image.Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(jpeg.EXIF_ORIENTATION, 1))
    except Exception:  # broken metadata around sound pixels: as if there were none
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as L or RGB."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        return _scaled_grey(image)
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, in whichever of Pillow's modes, as L."""
    from PIL import Image

    values_HW = np.asarray(image)
    if image.mode == "F" or values_HW.min() < 0 or values_HW.max() > 65535:
        raise ValueError(f"pixels of mode {image.mode} have no known range: save it with 8 or 16 bits")
    return Image.fromarray(((values_HW.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    grey = image.mode in ("L", "LA")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("L" if grey else "RGB")


def _as_pixels(image: Image.Image | NDArray[np.uint8], in_channels: int) -> NDArray[np.uint8]:
    """uint8 [H, W, C]: C is `in_channels`, or 1 for a grey picture, which RGB repeats once it is small."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        if image.ndim == 3 and image.shape[2] in (1, in_channels):
            return np.require(image, requirements=("C", "W"))  # what torch can take without a copy
        image = Image.fromarray(image)
    if in_channels == 1 and image.mode != "L":
        image = image.convert("L")
    pixels: NDArray[np.uint8] = np.array(image, dtype=np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def bounded_aspect(pixels_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """View of the picture's middle, where it is many times longer than wide."""
    H, W, _ = pixels_HWC.shape
    longest = _LONGEST_ASPECT * min(H, W)
    top, left = max(0, H - longest) // 2, max(0, W - longest) // 2
    return pixels_HWC[top : H - top, left : W - left]
