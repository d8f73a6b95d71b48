"""Batches: each image once an epoch, varied as promised, and the same again for the same seed and epoch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data import Images
from alexnet.data.loading.from_memory import Loader
from alexnet.data.loading.plan import EpochPlan, seed_for
from alexnet.data.transforms.augment import shrink
from alexnet.errors import UserError

CPU = torch.device("cpu")
# 99.9% points of the chi-square distribution, by degrees of freedom.
CHI_SQUARE = {1: 10.83, 3: 16.27, 24: 51.18, 49: 85.35, 63: 103.44, 80: 124.84}


def plain(image_px: int, in_channels: int = 1) -> Preprocessing:
    return Preprocessing(
        image_px=image_px, in_channels=in_channels, mean=(0.0,) * in_channels, std=(1.0,) * in_channels
    )


def loader_of(x_NHWC: Tensor, augment: AugmentConfig | None = None, dtype: torch.dtype = torch.float32) -> Loader:
    """Each image's label is its position."""
    images = Images(x_NHWC, torch.arange(len(x_NHWC)))
    return Loader(images, plain(x_NHWC.shape[1], x_NHWC.shape[3]), CPU, dtype, augment)


def pixels(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def epoch_of(loader: Loader, plan: EpochPlan, batch_size: int) -> list[tuple[Tensor, Tensor]]:
    return [loader.batch(plan, i, min(i + batch_size, len(loader))) for i in range(0, len(loader), batch_size)]


def chi_square(cells: Tensor, n_cells: int) -> float:
    """Distance of the counts of `cells`, integers below `n_cells`, from even ones."""
    counts = torch.bincount(cells.long(), minlength=n_cells).double()
    assert len(counts) == n_cells
    expected = len(cells) / n_cells
    return float(((counts - expected) ** 2 / expected).sum())


def test_each_image_once_an_epoch_the_short_last_batch_included():
    x_NHWC = torch.arange(25, dtype=torch.uint8).view(25, 1, 1, 1).expand(25, 4, 4, 1).contiguous()
    loader = loader_of(x_NHWC)
    batches = epoch_of(loader, loader.plan(0, 0), 7)
    assert len(loader) == 25
    assert [len(labels_N) for _, labels_N in batches] == [7, 7, 7, 4]
    labels_N = torch.cat([labels for _, labels in batches])
    assert sorted(labels_N.tolist()) == list(range(25))
    assert labels_N.tolist() != list(range(25))
    shown_N = torch.cat([x_NCHW[:, 0, 2, 3] for x_NCHW, _ in batches])
    assert (255 * shown_N).round().long().equal(labels_N)  # pixels and labels stay together


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batch_size_changes_neither_order_nor_variation(batch_size):
    loader = loader_of(pixels(64, 8, 8, 3), AugmentConfig(crop_padding_px=2, flip="random"))
    plan = loader.plan(3, 1)
    x_NCHW, labels_N = loader.batch(plan, 0, 64)
    parts = epoch_of(loader, plan, batch_size)
    assert torch.equal(torch.cat([x for x, _ in parts]), x_NCHW)
    assert torch.equal(torch.cat([labels for _, labels in parts]), labels_N)


def test_batches_are_those_of_their_bounds_in_order():
    loader = loader_of(pixels(20, 8, 8, 3), AugmentConfig(crop_padding_px=2, flip="random"))
    plan = loader.plan(0, 0)
    bounds = [(3, 9), (9, 10), (17, 20)]
    for (x_NCHW, labels_N), (start, stop) in zip(loader.batches(plan, bounds), bounds, strict=True):
        expected_NCHW, expected_N = loader.batch(plan, start, stop)
        assert torch.equal(x_NCHW, expected_NCHW)
        assert torch.equal(labels_N, expected_N)


def test_larger_images_are_cut_to_the_networks_size():
    x_NHWC = pixels(12, 9, 9, 3)
    loader = Loader(Images(x_NHWC, torch.arange(12)), plain(6, 3), CPU, torch.float32)
    plan = loader.plan(0, 0)
    x_NCHW, labels_N = loader.batch(plan, 0, 12)
    for got_CHW, label, top, left in zip(x_NCHW, labels_N, plan.top_N, plan.left_N, strict=True):
        cut_HWC = x_NHWC[label, top : top + 6, left : left + 6]
        torch.testing.assert_close(got_CHW, cut_HWC.permute(2, 0, 1) / 255, rtol=1e-6, atol=0)
    tops = torch.cat([loader.plan(0, epoch).top_N for epoch in range(20)])
    assert tops.unique().tolist() == [0, 1, 2, 3]


def test_a_batch_is_what_its_plan_says():
    x_NHWC = pixels(12, 8, 8, 3)
    loader = loader_of(x_NHWC, AugmentConfig(crop_padding_px=3, flip="random"))
    plan = loader.plan(0, 0)
    x_NCHW, labels_N = loader.batch(plan, 2, 9)
    assert torch.equal(labels_N, plan.order_N[2:9])
    for got_CHW, i in zip(x_NCHW, range(2, 9), strict=True):
        padded = torch.zeros(14, 14, 3, dtype=torch.uint8)
        padded[3:11, 3:11] = x_NHWC[plan.order_N[i]]
        top, left = int(plan.top_N[i]), int(plan.left_N[i])
        cut_HWC = padded[top : top + 8, left : left + 8]
        if plan.mirrored_N[i]:
            cut_HWC = cut_HWC.flip(1)
        torch.testing.assert_close(got_CHW, cut_HWC.permute(2, 0, 1) / 255, rtol=1e-6, atol=0)
    assert plan.mirrored_N[2:9].unique().tolist() == [False, True]


def test_a_batch_is_what_its_plan_says_with_everything_at_once():
    """Reflected crop, mirror, shrinking to 5/8, scaling, and a square of 5/8 of its side, in this order."""
    x_NHWC = pixels(12, 8, 8, 3)
    augment = AugmentConfig(crop_padding_px=3, crop_border="reflect", flip="alternating", cutout_px=4)
    how = Preprocessing(image_px=8, in_channels=3, mean=(0.25,) * 3, std=(0.5,) * 3)
    loader = Loader(Images(x_NHWC, torch.arange(12)), how, CPU, torch.float32, augment)
    plan = loader.plan(0, 0, 5)
    x_NCHW, labels_N = loader.batch(plan, 2, 9)
    assert torch.equal(labels_N, plan.order_N[2:9])
    for got_CHW, i in zip(x_NCHW, range(2, 9), strict=True):
        padded = np.pad(x_NHWC[plan.order_N[i]].numpy(), [(3, 3), (3, 3), (0, 0)], mode="reflect")
        top, left = int(plan.top_N[i]), int(plan.left_N[i])
        cut_HWC = padded[top : top + 8, left : left + 8]
        if plan.mirrored_N[i]:
            cut_HWC = cut_HWC[:, ::-1]
        small = shrink(torch.from_numpy(cut_HWC.copy())[None], 5)[0]
        expected = (small.permute(2, 0, 1) / 255 - 0.25) / 0.5
        # round(4 * 5 / 8) = 2 px, whose middle is one of six edges a side
        row, column = (int(place * 6) for place in plan.cutout_2N[:, i].tolist())
        expected[:, max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1] = 0
        torch.testing.assert_close(got_CHW, expected, rtol=1e-5, atol=1e-6)
    assert plan.mirrored_N[2:9].unique().tolist() == [False, True]


def test_images_are_shrunk_to_the_side_asked_for():
    x_NHWC = pixels(6, 16, 16, 1)
    loader = loader_of(x_NHWC)
    for side in (8, 11, 16, None):
        x_NCHW, labels_N = loader.batch(loader.plan(0, 0, side), 0, 6)
        assert x_NCHW.shape == (6, 1, side or 16, side or 16)
        assert x_NCHW.is_contiguous(memory_format=torch.channels_last)
        expected_NHWC = x_NHWC if side in (16, None) else shrink(x_NHWC, side)
        assert torch.equal((255 * x_NCHW).round().byte().permute(0, 2, 3, 1), expected_NHWC[labels_N])


def test_batches_are_channels_last_in_the_type_asked_for():
    x_NCHW, labels_N = (loader := loader_of(pixels(4, 8, 8, 3), dtype=torch.bfloat16)).batch(loader.plan(0, 0), 0, 4)
    assert x_NCHW.dtype == torch.bfloat16
    assert x_NCHW.is_contiguous(memory_format=torch.channels_last)
    assert labels_N.dtype == torch.int64


def test_the_same_seed_and_epoch_give_the_same_plan():
    loader = loader_of(pixels(500, 4, 4, 1), AugmentConfig(crop_padding_px=2, flip="random", cutout_px=2))
    torch.manual_seed(1)
    plan = loader.plan(5, 3)
    torch.manual_seed(2)  # nothing else decides it
    again, later, other = loader.plan(5, 3), loader.plan(5, 4), loader.plan(6, 3)
    for part in ("order_N", "top_N", "left_N", "mirrored_N", "cutout_2N"):
        drawn = getattr(plan, part)
        assert torch.equal(drawn, getattr(again, part)), part
        for different in (later, other):
            assert (drawn != getattr(different, part)).float().mean() > 0.3, part  # nearly all, 4/5, 4/5 and 1/2
    assert torch.equal(plan.order_N.sort().values, torch.arange(500))


def test_planning_leaves_the_global_randomness_alone():
    loader = loader_of(pixels(8, 4, 4, 1), AugmentConfig(crop_padding_px=2, flip="random"))
    before = torch.get_rng_state()
    loader.plan(0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_not_asked_for_is_not_done():
    x_NHWC = pixels(40, 4, 4, 1)
    for augment in (None, AugmentConfig()):
        loader = loader_of(x_NHWC, augment)
        plan = loader.plan(0, 0)
        assert plan.top_N is None
        assert plan.left_N is None
        assert plan.mirrored_N is None
        assert plan.cutout_2N is None
        assert plan.train_px is None
        x_NCHW, labels_N = loader.batch(plan, 0, 40)
        assert torch.equal((255 * x_NCHW).round().byte().permute(0, 2, 3, 1), x_NHWC[labels_N])
    assert loader_of(x_NHWC, AugmentConfig(flip="random")).plan(0, 0).top_N is None
    assert loader_of(x_NHWC, AugmentConfig(crop_padding_px=1)).plan(0, 0).mirrored_N is None


@pytest.mark.parametrize("seed", [0, 1])
def test_crops_and_flips_are_even_and_independent(seed):
    N = 50_000
    loader = loader_of(torch.zeros(N, 1, 1, 1, dtype=torch.uint8), AugmentConfig(crop_padding_px=2, flip="random"))
    plan = loader.plan(seed, 0)
    top, left, mirrored = plan.top_N, plan.left_N, plan.mirrored_N.long()
    # Every place with and without mirroring: even, so each is even and independent of the others.
    assert chi_square((top * 5 + left) * 2 + mirrored, 50) < CHI_SQUARE[49]
    # From one image to the next, in the order they are shown.
    assert chi_square(top[:-1] * 5 + top[1:], 25) < CHI_SQUARE[24]
    assert chi_square(left[:-1] * 5 + left[1:], 25) < CHI_SQUARE[24]
    assert chi_square(mirrored[:-1] * 2 + mirrored[1:], 4) < CHI_SQUARE[3]
    # From one epoch to the next, for the same image.
    later = loader.plan(seed, 1)
    back, back_later = plan.order_N.argsort(), later.order_N.argsort()
    assert chi_square(top[back] * 5 + later.top_N[back_later], 25) < CHI_SQUARE[24]
    assert chi_square(mirrored[back] * 2 + later.mirrored_N[back_later].long(), 4) < CHI_SQUARE[3]


@pytest.mark.parametrize("seed", [0, 1])
def test_alternating_flips_show_both_sides_of_every_image_in_two_epochs(seed):
    N = 10_000
    loader = loader_of(torch.zeros(N, 1, 1, 1, dtype=torch.uint8), AugmentConfig(flip="alternating"))
    plans = [loader.plan(seed, epoch) for epoch in range(4)]
    by_image = [plan.mirrored_N[plan.order_N.argsort()] for plan in plans]
    for earlier, later in pairwise(by_image):
        assert torch.equal(earlier, ~later)
    assert chi_square(by_image[0], 2) < CHI_SQUARE[1]  # half of them
    assert chi_square(2 * by_image[0][:-1] + by_image[0][1:].long(), 4) < CHI_SQUARE[3]
    assert not torch.equal(plans[0].order_N, plans[2].order_N)
    other = loader.plan(seed + 1, 0)
    assert (other.mirrored_N[other.order_N.argsort()] != by_image[0]).float().mean() > 0.4


@pytest.mark.parametrize(("cutout_px", "places"), [(4, 9), (3, 8)])
def test_hidden_squares_are_even_and_independent(cutout_px, places):
    N, side = 8_000, 8
    augment = AugmentConfig(cutout_px=cutout_px)
    x_NHWC = torch.full((N, side, side, 1), 255, dtype=torch.uint8)
    loader = loader_of(x_NHWC, augment)
    x_NCHW, _ = loader.batch(loader.plan(0, 0), 0, N)
    hidden_NHW = x_NCHW[:, 0] == 0
    # The first shown pixel after (or before) a square tells its middle: count rows and columns that it covers.
    rows, columns = hidden_NHW.any(2), hidden_NHW.any(1)
    heights, widths = rows.sum(1), columns.sum(1)
    assert torch.equal(hidden_NHW.sum((1, 2)), heights * widths)  # one rectangle each
    ends = []
    for covered in (rows, columns):
        first, last = covered.int().argmax(1), side - 1 - covered.flip(1).int().argmax(1)
        middle = torch.where(first == 0, last + 1 - (cutout_px + 1) // 2, first + cutout_px // 2)
        ends.append(middle)
    assert ends[0].unique().tolist() == ends[1].unique().tolist() == list(range(places))
    assert chi_square(ends[0] * places + ends[1], places**2) < CHI_SQUARE[places**2 - 1]
    # Rows hidden, over all middles: 2 3 4 4 4 4 4 3 2 of a square of 4 px, 2 3 3 3 3 3 3 2 of one of 3.
    share = {4: (30 / 9 / 8) ** 2, 3: (22 / 8 / 8) ** 2}[cutout_px]
    assert hidden_NHW.float().mean().item() == pytest.approx(share, rel=0.03)


def test_a_reflected_border_must_be_narrower_than_the_image():
    x_NHWC = pixels(3, 4, 4, 1)
    loader = loader_of(x_NHWC, AugmentConfig(crop_padding_px=3, crop_border="reflect"))
    assert loader.batch(loader.plan(0, 0), 0, 3)[0].shape == (3, 1, 4, 4)
    for border_px in (4, 9):
        with pytest.raises(UserError, match=rf"crop_padding_px \({border_px}\) must be less than .* side \(4\)"):
            loader_of(x_NHWC, AugmentConfig(crop_padding_px=border_px, crop_border="reflect"))
    loader_of(x_NHWC, AugmentConfig(crop_padding_px=9))  # black has no such bound


def test_first_images_of_many_epochs_are_even():
    loader = loader_of(torch.zeros(4, 1, 1, 1, dtype=torch.uint8), AugmentConfig(flip="random"))
    plans = [loader.plan(0, epoch) for epoch in range(2000)]
    assert chi_square(torch.stack([plan.order_N[0] for plan in plans]), 4) < CHI_SQUARE[3]
    assert chi_square(torch.stack([plan.mirrored_N[0] for plan in plans]), 2) < CHI_SQUARE[1]


def test_seed_for_is_the_same_everywhere_and_for_ever():
    # A run begun under one version must resume under the next: these are not to change.
    assert seed_for(0, "epoch", 0) == 7_517_732_205_036_318_746
    assert seed_for(1, "dropout") == 7_086_317_541_957_306_929


def test_no_two_purposes_share_a_seed():
    seeds = [
        seed_for(seed, *purpose) for seed in range(20) for purpose in [("epoch", e) for e in range(20)] + [("x",), ()]
    ]
    assert len(set(seeds)) == len(seeds)
    assert seed_for(1, 23) != seed_for(12, 3)
    assert seed_for(1, "2") != seed_for(1, 2)
    assert all(0 <= seed < 2**63 for seed in seeds)
