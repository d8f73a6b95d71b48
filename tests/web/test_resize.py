"""The page's resizing beside the package's own, which trains and predicts."""

import numpy as np
import pytest

from alexnet.data import fit_image

SQUARE = """
const { width, height, side, channels, fit, rgba } = values;
const data = Uint8ClampedArray.from(rgba);
const read = (y, rows) => data.slice(y * width * 4, (y + rows) * width * 4);
return [...module_resize.squareOf({ width, height, read }, side, channels, fit)];
"""


def square_of(run_js, pixels_HWC, side, channels, fit="crop"):
    H, W, _ = pixels_HWC.shape
    rgba = np.full((H, W, 4), 255, np.uint8)
    rgba[..., :3] = pixels_HWC  # grey is repeated
    values = {"width": W, "height": H, "side": side, "channels": channels, "fit": fit, "rgba": rgba.ravel().tolist()}
    return np.array(run_js("resize.js", SQUARE, values), np.uint8).reshape(side, side, channels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("H", "W", "side"),
    [(32, 32, 32), (33, 47, 32), (100, 61, 32), (17, 23, 32), (64, 64, 28), (5, 200, 16), (301, 200, 64), (2, 3, 32)],
)
def test_pixels_are_those_of_training(run_js, H, W, side, channels):
    pixels_HWC = np.random.default_rng(H * W).integers(0, 256, (H, W, 3), np.uint8)
    expected = fit_image(pixels_HWC, side, channels)
    assert np.array_equal(square_of(run_js, pixels_HWC, side, channels), expected)


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize(("H", "W"), [(33, 47), (47, 33), (32, 32), (5, 300), (90, 31), (64, 65)])
def test_other_ways_to_a_square(run_js, fit, H, W):
    pixels_HWC = np.random.default_rng(H * W).integers(0, 256, (H, W, 3), np.uint8)
    assert np.array_equal(square_of(run_js, pixels_HWC, 32, 3, fit), fit_image(pixels_HWC, 32, 3, fit))


def test_smooth_pictures_too(run_js):
    y, x = np.mgrid[:90, :150]
    pixels_HWC = np.stack([x, 2 * y, (x + y) // 2], -1).astype(np.uint8)
    assert np.array_equal(square_of(run_js, pixels_HWC, 40, 3), fit_image(pixels_HWC, 40, 3))


def test_python_rounding(run_js):
    values = [0.5, 1.5, 2.5, 3.5, 2.4, 2.6, -0.5]
    found = run_js("resize.js", "return values.map(module_resize.roundHalfEven).map((x) => x + 0);", values)
    assert found == [round(v) for v in values]


def test_blocks_are_averaged_also_at_the_edge(run_js):
    code = """
    const data = Uint8ClampedArray.from(values.flatMap((v) => [v, v, v, 255]));
    const read = (y, rows) => data.slice(y * 3 * 4, (y + rows) * 3 * 4);
    const { width, height, read: readShrunk } = module_resize.shrunk({ width: 3, height: 3, read }, 2);
    return [width, height, ...[...readShrunk(0, 2)].filter((_, i) => i % 4 === 0)];
    """
    assert run_js("resize.js", code, [0, 10, 20, 30, 40, 60, 80, 90, 100]) == [2, 2, 20, 40, 85, 100]
