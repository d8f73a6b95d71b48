"""Augmentation and scaling of batches against loops over single images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.data.transforms.augment import (
    Normalizer,
    crop_places,
    cutout,
    cutout_places,
    draw_boxes,
    flip,
    random_crop,
    resized_crop,
    shrink,
)

CPU = torch.device("cpu")
GREY = Preprocessing(image_px=6, in_channels=1, mean=(0.2860,), std=(0.3530,))
COLOUR = Preprocessing(image_px=6, in_channels=3, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))


def pixels(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def crop_one(x_HWC: np.ndarray, top: int, left: int, padding_px: int) -> np.ndarray:
    """Row by row and column by column, black outside."""
    H, W, _ = x_HWC.shape
    out_HWC = np.zeros_like(x_HWC)
    for row in range(H):
        for column in range(W):
            y, x = row + top - padding_px, column + left - padding_px
            if 0 <= y < H and 0 <= x < W:
                out_HWC[row, column] = x_HWC[y, x]
    return out_HWC


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 3])),
    padding_px=st.integers(0, 5),
    data=st.data(),
)
def test_random_crop_cuts_each_image_at_its_own_place(shape, padding_px, data):
    x_NHWC = pixels(*shape)
    corners = st.lists(st.integers(0, 2 * padding_px), min_size=shape[0], max_size=shape[0])
    top, left = data.draw(corners), data.draw(corners)
    got = random_crop(x_NHWC, torch.tensor(top), torch.tensor(left), padding_px)
    expected = np.stack([crop_one(x, t, i, padding_px) for x, t, i in zip(x_NHWC.numpy(), top, left, strict=True)])
    assert got.dtype == torch.uint8
    assert np.array_equal(got, expected)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(2, 7), st.integers(2, 7), st.sampled_from([1, 3])), data=st.data()
)
def test_a_reflected_border_is_numpys(shape, data):
    N, H, W, _ = shape
    padding_px = data.draw(st.integers(1, min(H, W) - 1))
    corners = st.lists(st.integers(0, 2 * padding_px), min_size=N, max_size=N)
    top, left = data.draw(corners), data.draw(corners)
    x_NHWC = pixels(*shape)
    got = random_crop(x_NHWC, torch.tensor(top), torch.tensor(left), padding_px, border="reflect")
    around = [(0, 0), (padding_px,) * 2, (padding_px,) * 2, (0, 0)]
    padded = np.pad(x_NHWC.numpy(), around, mode="reflect")
    expected = [image[t : t + H, i : i + W] for image, t, i in zip(padded, top, left, strict=True)]
    assert np.array_equal(got, np.stack(expected))


def test_a_reflected_crop_of_another_size_by_hand():
    x_1331 = torch.arange(9, dtype=torch.uint8).view(1, 3, 3, 1)
    zero = torch.tensor([0])
    # rows 1 0 1 and columns 1 0 1 of the image: its edge is the mirror and is not repeated
    assert random_crop(x_1331, zero, zero, 1, 3, "reflect").flatten().tolist() == [4, 3, 4, 1, 0, 1, 4, 3, 4]
    assert random_crop(x_1331, zero, zero + 3, 1, 2, "reflect").flatten().tolist() == [5, 4, 2, 1]


def test_a_crop_in_the_middle_changes_nothing():
    x_NHWC = pixels(3, 6, 6, 3)
    middle_N = torch.full((3,), 4)
    assert torch.equal(random_crop(x_NHWC, middle_N, middle_N, 4), x_NHWC)


def test_smaller_crops_by_hand():
    x_1331 = torch.arange(9, dtype=torch.uint8).view(1, 3, 3, 1)
    one, two = torch.tensor([1]), torch.tensor([2])
    assert random_crop(x_1331, one, one - 1, 0, 2).flatten().tolist() == [3, 4, 6, 7]
    assert random_crop(x_1331, two, two + 1, 1, 2).flatten().tolist() == [5, 0, 8, 0]
    assert crop_places(3, 0, 2) == 2
    assert crop_places(256, 0, 224) == 33
    assert crop_places(32, 4, 32) == 9


def test_crop_by_hand():
    x_1221 = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).view(1, 2, 2, 1)
    zero, two = torch.tensor([0]), torch.tensor([2])
    assert random_crop(x_1221, zero, zero, 1).flatten().tolist() == [0, 0, 0, 1]
    assert random_crop(x_1221, zero, two, 1).flatten().tolist() == [0, 0, 2, 0]
    assert random_crop(x_1221, two, zero, 1).flatten().tolist() == [0, 3, 0, 0]
    assert random_crop(x_1221, two, two, 1).flatten().tolist() == [4, 0, 0, 0]


def test_a_batch_without_images():
    """What a process has of a batch with fewer images than processes."""
    none_NHWC, none_N = torch.zeros(0, 8, 8, 3, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)
    assert random_crop(none_NHWC, none_N, none_N, 2).shape == (0, 8, 8, 3)
    assert random_crop(none_NHWC, none_N, none_N, 0, 5).shape == (0, 5, 5, 3)
    assert flip(none_NHWC, none_N.bool()).shape == (0, 8, 8, 3)


def test_crop_does_not_touch_what_it_is_given():
    x_NHWC = pixels(4, 5, 5, 3)
    before = x_NHWC.clone()
    cut = random_crop(x_NHWC, torch.zeros(4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64), 2)
    cut.fill_(7)
    assert torch.equal(x_NHWC, before)


def test_flip_mirrors_the_chosen_images_left_to_right():
    x_NHWC = pixels(4, 3, 5, 3)
    got = flip(x_NHWC, torch.tensor([True, False, False, True])).numpy()
    for i, mirrored in enumerate([True, False, False, True]):
        assert np.array_equal(got[i], x_NHWC[i].numpy()[:, ::-1] if mirrored else x_NHWC[i].numpy())


@pytest.mark.parametrize("cutout_px", [1, 2, 3, 4, 9, 20])
def test_cutout_by_loops_at_every_place(cutout_px):
    H, W = 5, 6
    before = 1 + torch.rand(1, 2, H, W)
    for row in range(cutout_places(H, cutout_px)):
        for column in range(cutout_places(W, cutout_px)):
            got = cutout(before.clone(), torch.tensor([row]), torch.tensor([column]), cutout_px)
            for y in range(H):
                for x in range(W):
                    # an even side is centred on an edge between pixels, an odd one on a pixel
                    dy, dx = (abs(2 * at - 2 * middle + 1 - cutout_px % 2) for at, middle in ((y, row), (x, column)))
                    hidden = dy < cutout_px and dx < cutout_px
                    assert torch.equal(got[0, :, y, x], before[0, :, y, x] * (not hidden)), (row, column, y, x)


def test_cutout_hides_each_images_own_square_and_nothing_else():
    x_NCHW = torch.ones(3, 1, 4, 4).contiguous(memory_format=torch.channels_last)
    got = cutout(x_NCHW, torch.tensor([0, 4, 2]), torch.tensor([0, 4, 2]), 2)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert (got == 0).sum((1, 2, 3)).tolist() == [1, 1, 4]  # three quarters lie outside of the first two
    assert got[0, 0, 0, 0] == got[1, 0, 3, 3] == 0
    assert (got[2, 0, 1:3, 1:3] == 0).all()


@pytest.mark.parametrize("cutout_px", [3, 4])
def test_squares_lie_evenly_over_the_image(cutout_px):
    """Of all places that a middle can have, as many hide a border as the one opposite."""
    places = torch.arange(cutout_places(8, cutout_px))
    n = len(places)
    assert n == (8 if cutout_px == 3 else 9)
    rows, columns = places.repeat_interleave(n), places.repeat(n)
    hidden_HW = (cutout(torch.ones(n * n, 1, 8, 8), rows, columns, cutout_px) == 0).sum((0, 1))
    assert torch.equal(hidden_HW, hidden_HW.flip(0))
    assert torch.equal(hidden_HW, hidden_HW.flip(1))
    assert torch.equal(hidden_HW, hidden_HW.T)
    assert (hidden_HW[2:6, 2:6] == cutout_px**2).all()
    assert hidden_HW[0, 0] == {3: 2, 4: 3}[cutout_px] ** 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "to"), [(32, 24), (32, 16), (32, 20), (28, 9), (17, 16)])
def test_shrink_is_pillows_within_a_level(side, to, channels):
    x_NHWC = pixels(4, side, side, channels)
    got = shrink(x_NHWC, to)
    assert got.dtype == torch.uint8
    assert got.shape == (4, to, to, channels)
    assert got.is_contiguous()
    for small, image in zip(got.numpy(), x_NHWC.numpy(), strict=True):
        theirs = Image.fromarray(image.squeeze()).resize((to, to), Image.Resampling.BILINEAR)
        assert np.abs(small.squeeze().astype(int) - np.asarray(theirs).astype(int)).max() <= 1


def test_shrink_by_halves_weighs_each_pixel():
    """By the distance from its own middle: four pixels by 1, 3, 3 and 1, of which one lies outside here."""
    row = torch.tensor([0, 80, 160, 240], dtype=torch.uint8)
    small = shrink(row.view(1, 1, 4, 1).expand(1, 4, 4, 1).contiguous(), 2)
    assert small[0, 0, :, 0].tolist() == [57, 183]  # (3 * 0 + 3 * 80 + 160) / 7, (80 + 3 * 160 + 3 * 240) / 7


def test_shrink_on_other_devices():
    """They resize in floating point: the same shape and type, and the same pixels within a level."""
    x_NHWC = pixels(4, 32, 32, 3)
    elsewhere = shrink(x_NHWC.to("meta"), 24)
    here = shrink(x_NHWC, 24)
    assert (elsewhere.shape, elsewhere.dtype, elsewhere.stride()) == (here.shape, here.dtype, here.stride())
    floats = F.interpolate(x_NHWC.permute(0, 3, 1, 2).float(), size=24, mode="bilinear", antialias=True).round()
    assert (floats.permute(0, 2, 3, 1) - here.float()).abs().max() <= 1


def normalized(x_NHWC: Tensor, how: Preprocessing) -> Tensor:
    """(x / 255 - mean) / std in fp64, [N, C, H, W]."""
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (how.mean, how.std))
    return ((x_NHWC.double() / 255 - mean) / std).permute(0, 3, 1, 2)


@pytest.mark.parametrize("how", [GREY, COLOUR], ids=["grey", "colour"])
def test_normalizer_in_fp32(how):
    x_NHWC = pixels(8, 6, 6, how.in_channels)
    got = Normalizer(how, CPU, torch.float32)(x_NHWC)
    assert got.dtype == torch.float32
    assert got.shape == (8, how.in_channels, 6, 6)
    # three roundings of numbers of at most 4: a few times 2**-24
    torch.testing.assert_close(got.double(), normalized(x_NHWC, how), rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize(("dtype", "digits"), [(torch.bfloat16, 8), (torch.float16, 11)])
def test_normalizer_rounds_once_to_half_precision(how, dtype, digits):
    x_NHWC = pixels(8, 6, 6, how.in_channels)
    expected = normalized(x_NHWC, how)
    got = Normalizer(how, CPU, dtype)(x_NHWC)
    assert got.dtype == dtype
    # Half a unit in the last of `digits` binary places is at most 2**-digits of the number.
    torch.testing.assert_close(got.double(), expected, rtol=2.0**-digits, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalizer_gives_channels_last(dtype):
    got = Normalizer(COLOUR, CPU, dtype)(pixels(2, 6, 6, 3))
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert got.stride() == (108, 1, 18, 3)


def test_without_mean_and_deviation_pixels_lie_in_0_to_1():
    plain = Preprocessing(image_px=16, in_channels=1, mean=(0.0,), std=(1.0,))
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)
    got = Normalizer(plain, CPU, torch.float32)(levels).flatten()
    assert got[0] == 0
    assert got[255] == 1
    torch.testing.assert_close(got, torch.arange(256) / 255, rtol=1e-6, atol=0)


@given(data=st.data(), image_px=st.integers(1, 12), channels=st.sampled_from([1, 3]))
def test_a_resized_crop_is_pillows(data, image_px, channels):
    x_NHWC = pixels(3, 9, 7, channels)
    sides = st.floats(0.2, 1)
    heights, widths = (data.draw(st.lists(sides, min_size=3, max_size=3)) for _ in range(2))
    tops, lefts = ([data.draw(st.floats(0, 1 - side)) for side in each] for each in (heights, widths))
    got = resized_crop(x_NHWC, torch.tensor([tops, lefts, heights, widths]), image_px)
    for image_HWC, top, left, height, width, result in zip(x_NHWC, tops, lefts, heights, widths, got, strict=True):
        box = (left * 7, top * 9, (left + width) * 7, (top + height) * 9)
        for c in range(channels):
            expected = Image.fromarray(image_HWC[:, :, c].numpy()).resize(
                (image_px, image_px), Image.Resampling.BILINEAR, tuple(map(float, box))
            )
            assert np.abs(np.asarray(expected, np.int16) - result[:, :, c].numpy()).max() <= 1


def test_drawn_boxes_lie_in_the_image_and_have_the_scale():
    top, left, height, width = draw_boxes(0.3, 10_000, torch.Generator().manual_seed(0)).double()
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1 + 1e-6
    area = height * width
    assert 0.3 * 3 / 4 <= area.min() < 0.31
    assert 0.6 < area.mean() < 0.65
    ratio = (width / height)[(height < 1) & (width < 1)]
    assert 3 / 4 - 1e-6 <= ratio.min() < 0.76
    assert 1.31 < ratio.max() <= 4 / 3 + 1e-6
