from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from alexnet.config import Fit
from alexnet.data import BadImageError, decode_image, fit_image
from alexnet.data.images import decode, jpeg
from alexnet.errors import UserError
from alexnet.files import read_bytes

# What a viewer shows: three columns, two rows, each pixel of another shade.
SHOWN = [[10, 20, 30], [40, 50, 60]]

# The same picture as cameras store it under each EXIF orientation, written out from the EXIF standard's table.
STORED = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[30, 60], [20, 50], [10, 40]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[40, 10], [50, 20], [60, 30]],
}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth picture with some noise, which JPEG does not blur away."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    waves = np.stack([np.sin(across), np.cos(down), np.sin(across + down)], axis=2)
    return Image.fromarray(np.clip(128 + 90 * waves + random.normal(0, 8, waves.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.array(STORED[orientation], np.uint8))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image = decode_image(encoded(stored, kind, exif=exif, **options))
    np.testing.assert_array_equal(np.asarray(image.convert("L")), SHOWN)


def test_exif_orientation_of_a_jpeg_keeps_it_from_the_shortcut() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(photo(32, 32), "JPEG", exif=exif)
    out = np.empty((32, 32, 3), np.uint8)
    decode.decode_into(out, data, "photo.jpg")
    with Image.open(io.BytesIO(data)) as stored:
        np.testing.assert_array_equal(out, np.asarray(stored)[::-1, ::-1])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_leaves_the_picture_as_it_is() -> None:
    data = encoded(photo(8, 8), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert decode_image(data).size == (8, 8)


def palette_image() -> Image.Image:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    return image


def grey_16_bit(value: int) -> Image.Image:
    return Image.fromarray(np.array([[value]], np.uint16))


@pytest.mark.parametrize(
    ("image", "kind", "options", "expected"),
    [
        (Image.new("1", (1, 1), 1), "PNG", {}, (255, 255, 255)),
        (Image.new("L", (1, 1), 77), "PNG", {}, (77, 77, 77)),
        (Image.new("RGB", (1, 1), (1, 2, 3)), "PNG", {}, (1, 2, 3)),
        (Image.new("RGB", (1, 1), (1, 2, 3)), "BMP", {}, (1, 2, 3)),
        (palette_image(), "PNG", {}, (200, 100, 50)),
        (palette_image(), "GIF", {}, (200, 100, 50)),
        # Half covered: 0.4 of 255 beneath, 0.6 of the colour on top (alpha 153 of 255).
        (Image.new("RGBA", (1, 1), (100, 0, 200, 153)), "PNG", {}, (162, 102, 222)),
        (Image.new("LA", (1, 1), (100, 153)), "PNG", {}, (162, 162, 162)),
        (Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "PNG", {}, (255, 255, 255)),
        # A colour, or a palette's entry, declared transparent.
        (Image.new("RGB", (1, 1), (1, 2, 3)), "PNG", {"transparency": (1, 2, 3)}, (255, 255, 255)),
        (Image.new("L", (1, 1), 7), "PNG", {"transparency": 7}, (255, 255, 255)),
        (palette_image(), "PNG", {"transparency": 1}, (255, 255, 255)),
        (palette_image(), "PNG", {"transparency": b"\xff\x99"}, (222, 162, 132)),
        # 255 / 65535 = 1 / 257, rounded: not clipped, not cut to the upper byte.
        (grey_16_bit(0), "PNG", {}, (0, 0, 0)),
        (grey_16_bit(257 * 3 + 129), "PNG", {}, (4, 4, 4)),
        (grey_16_bit(257 * 3 + 128), "PNG", {}, (3, 3, 3)),
        (grey_16_bit(65535), "PNG", {}, (255, 255, 255)),
        (grey_16_bit(257 * 200), "TIFF", {}, (200, 200, 200)),
        # Ink: no cyan, all magenta, a fifth of black: 255 * (1 - 0) * .8, 0, 204.
        (Image.new("CMYK", (1, 1), (0, 255, 0, 51)), "TIFF", {}, (204, 0, 204)),
    ],
)
def test_every_mode_becomes_its_colour(
    image: Image.Image, kind: str, options: dict[str, object], expected: tuple[int, int, int]
) -> None:
    decoded = decode_image(encoded(image, kind, **options))
    assert decoded.mode in ("L", "RGB")
    assert tuple(fit_image(decoded, 1, 3)[0, 0].tolist()) == expected


def test_a_16_bit_pgm_is_scaled() -> None:
    data = b"P5 2 1 65535\n" + (257 * 9).to_bytes(2, "big") + (65535).to_bytes(2, "big")
    assert np.asarray(decode_image(data)).tolist() == [[9, 255]]


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 0, 51)), "JPEG", quality=100)
    red, green, blue = np.asarray(decode_image(data))[4, 4].astype(int)
    assert abs(red - 204) <= 2
    assert green <= 2
    assert abs(blue - 204) <= 2


def test_pixels_of_unknown_range_are_refused() -> None:
    with pytest.raises(BadImageError, match="mode F have no known range"):
        decode_image(encoded(Image.new("F", (1, 1), 0.5), "TIFF"))


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("L", (2, 2), shade) for shade in (5, 250)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(fit_image(decode_image(data), 2, 1)).max() == 5


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (33, 32), (100, 80)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_shortcut_gives_pillows_pixels(
    size: tuple[int, int], mode: str, in_channels: int, subsampling: int
) -> None:
    data = encoded(photo(*size).convert(mode), "JPEG", quality=80, subsampling=subsampling)
    fast = np.zeros((32, 32, in_channels), np.uint8)
    decode.decode_into(fast, data, "photo.jpg")
    np.testing.assert_array_equal(fast, fit_image(decode_image(data, image_px=32), 32, in_channels))
    assert fast.std() > 10


def test_grey_of_a_colour_jpeg_is_the_luma_of_its_colours() -> None:
    # Saturated colours, where libjpeg's own grey, taken before clipping, is another.
    colours = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(colours), "JPEG", subsampling=0)
    out = np.empty((32, 32, 1), np.uint8)
    decode.decode_into(out, data, "photo.jpg")
    with Image.open(io.BytesIO(data)) as shown:
        np.testing.assert_array_equal(out[..., 0], np.asarray(shown.convert("L")))


def test_a_plain_small_jpeg_takes_the_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(*args: object) -> None:
        raise AssertionError("Pillow was asked")

    data = encoded(photo(32, 32), "JPEG")
    monkeypatch.setattr(decode, "_decode", refuse)
    decode.decode_into(np.empty((32, 32, 3), np.uint8), data, "photo.jpg")


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 90), height=st.integers(1, 90), px=st.integers(1, 48))
def test_fitting_is_torchvisions_resize_and_centre_crop(width: int, height: int, px: int) -> None:
    from torchvision.transforms import CenterCrop, Compose, Resize

    if max(width, height) > 16 * min(width, height):
        return
    image = photo(width, height, seed=width)
    expected = np.asarray(Compose([Resize(px), CenterCrop(px)])(image)).astype(int)  # with Pillow's arithmetic
    assert np.abs(fit_image(image, px, 3) - expected).max() <= 1  # ours rounds weights to 16 bits


def test_pixels_that_may_not_be_written_are_fitted_and_left_alone() -> None:
    pixels = np.asarray(photo(20, 10))
    assert not pixels.flags.writeable
    expected = fit_image(photo(20, 10), 5, 3)
    np.testing.assert_array_equal(fit_image(pixels, 5, 3), expected)
    np.testing.assert_array_equal(fit_image(pixels[:, ::-1], 10, 3)[:, ::-1], fit_image(pixels, 10, 3))
    own = np.array(pixels[:, :10])
    fit_image(own, 10, 3)[:] = 0
    assert own.any()


@pytest.mark.parametrize("size", [(200, 150), (399, 257), (515, 400), (161, 1300)])
@pytest.mark.parametrize("orientation", [None, 1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_large_jpegs_are_the_same_by_every_way(size: tuple[int, int], orientation: int | None, mode: str) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    data = encoded(photo(*size).convert(mode), "JPEG", exif=exif)
    out = np.empty((64, 64, 3), np.uint8)
    decode.decode_into(out, data, "photo.jpg")
    np.testing.assert_array_equal(out, fit_image(decode_image(data, image_px=64), 64, 3))


@pytest.mark.parametrize("exif", [None, 1])
def test_a_plain_large_jpeg_takes_the_shortcut(exif: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = Image.Exif()
    tags[0x0112] = 1
    data = encoded(photo(300, 200), "JPEG", **({"exif": tags} if exif else {}))

    def refuse(*args: object) -> None:
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(decode, "_decode", refuse)
    decode.decode_into(np.empty((32, 32, 3), np.uint8), data, "photo.jpg")


def test_a_strip_is_fitted_without_unrolling_it() -> None:
    # Resized whole, its long side would be 5,000,000 pixels and take 3 GB.
    strip = Image.new("RGB", (50_000, 2), (1, 2, 3))
    assert (fit_image(strip, 200, 3) == np.array([1, 2, 3])).all()


def test_padding_keeps_all_of_the_picture_between_black_bars() -> None:
    white = np.full((20, 40, 3), 255, np.uint8)
    shown = np.zeros((8, 8), np.uint8)
    shown[2:6] = 255
    assert (fit_image(white, 8, 3, "pad") == shown[:, :, None]).all()
    assert (fit_image(white.transpose(1, 0, 2), 8, 3, "pad") == shown.T[:, :, None]).all()


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (7, 300)])
def test_squashing_is_pillows_resize_of_both_sides(size: tuple[int, int]) -> None:
    pillow = np.asarray(photo(*size).resize((8, 8), Image.Resampling.BILINEAR), np.int16)
    assert abs(fit_image(photo(*size), 8, 3, "squash").astype(np.int16) - pillow).max() <= 1


def test_a_strip_thinner_than_a_pixel_is_padded_to_one_row() -> None:
    assert (fit_image(np.full((1, 5000), 255, np.uint8), 8, 1, "pad")[..., 0] > 0).sum(0).tolist() == [1] * 8


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_square_picture_is_the_same_by_every_fit(fit: Fit) -> None:
    assert (fit_image(photo(30, 30), 8, 3, fit) == fit_image(photo(30, 30), 8, 3)).all()


def test_grey_is_luma_and_rgb_repeats_grey() -> None:
    colour = np.array([[[255, 0, 0]]], np.uint8)
    assert fit_image(colour, 1, 1).tolist() == [[[76]]]  # 0.299 * 255
    grey = np.array([[9]], np.uint8)
    assert fit_image(grey, 1, 3).tolist() == [[[9, 9, 9]]]
    assert fit_image(grey[..., None], 1, 1).tolist() == [[[9]]]


def test_a_huge_jpeg_is_decoded_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(800, 600), "JPEG")
    assert decode_image(data, image_px=32).size == (100, 75)
    assert decode_image(data).size == (800, 600)
    whole, reduced = (fit_image(decode_image(data, image_px=px), 32, 3).astype(int) for px in (None, 32))
    assert np.abs(whole - reduced).mean() < 2
    monkeypatch.setattr(jpeg, "LARGEST_PIXELS", 100 * 100)
    assert decode_image(data, image_px=32).size == (100, 75)
    with pytest.raises(BadImageError, match=r"big\.jpg: too large to decode: 800 x 600 pixels"):
        decode_image(data, name="big.jpg")


def test_a_huge_png_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "big.png"
    Image.new("L", (20, 20)).save(path)
    with pytest.raises(BadImageError, match=r"big\.png: too large to decode"):
        decode_image(path, image_px=8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "not an image in a format"),
        (encoded(photo(64, 64), "JPEG")[:600], "truncated"),
        (encoded(photo(32, 32), "JPEG")[:600], "truncated"),
        (encoded(photo(64, 64), "PNG")[:600], "truncated"),
        (b"\xff\xd8\xff\xe0 no more", ""),
    ],
)
def test_a_broken_file_is_named(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"(?i)broken\.jpg: .*{reason}") as caught:
        decode_image(path)
    assert isinstance(caught.value, BadImageError)
    assert caught.value.path == str(path)
    with pytest.raises(BadImageError, match=rf"(?i)broken\.jpg: .*{reason}"):
        decode.decode_into(np.empty((32, 32, 3), np.uint8), data, "broken.jpg")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match=r"none\.jpg: no such file or directory"):
        decode_image(tmp_path / "none.jpg")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([0, 1, 65_535, 65_536, 65_537, 200_000]))
def test_read_bytes_reads_all(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file"
    data = np.random.default_rng(size).bytes(size)
    path.write_bytes(data)
    assert read_bytes(path) == data


@pytest.mark.parametrize("suffix", ["HEIC", "AVIF", "WEBP", "TIFF", "GIF", "BMP"])
def test_what_telephones_and_pages_keep_photographs_in(suffix: str, tmp_path: Path) -> None:
    if suffix == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener()
    file = tmp_path / f"photo.{suffix}"
    photo(40, 30).save(file, format={"HEIC": "HEIF"}.get(suffix, suffix), quality=95)
    assert file.suffix.lower() in decode.EXTENSIONS
    shown = np.asarray(decode_image(file), dtype=int)
    assert shown.shape == (30, 40, 3)
    assert np.abs(shown - np.asarray(photo(40, 30))).mean() < 20


def test_the_extra_for_heic_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    decode._register_heic.cache_clear()
    with pytest.raises(BadImageError, match=r"pip install 'alexnet\[photos\]'"):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(40))
    decode._register_heic.cache_clear()
