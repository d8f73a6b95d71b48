"""What is random in an epoch: mixed images, random rectangles and balanced classes, against loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data import Images
from alexnet.data.loading.from_memory import Loader
from alexnet.data.loading.plan import balanced_order
from alexnet.data.transforms.augment import mix, resized_crop

CPU = torch.device("cpu")


def mixed_by_loops(x, y, classes, share, is_cut, middle):
    """Image by image, pixel by pixel."""
    out, targets = np.zeros_like(x), np.zeros((len(x), classes))
    _, _, H, W = x.shape
    for n in range(len(x)):
        kept = np.full((H, W), share[n])
        if is_cut[n]:
            half = np.sqrt(1 - share[n]) / 2
            for i in range(H):
                for j in range(W):
                    inside = abs((i + 0.5) / H - middle[0, n]) < half and abs((j + 0.5) / W - middle[1, n]) < half
                    kept[i, j] = 0 if inside else 1
        out[n] = kept * x[n] + (1 - kept) * x[n - 1]
        targets[n, y[n]] += kept.mean()
        targets[n, y[n - 1]] += 1 - kept.mean()
    return out, targets


def test_mixing_is_that_of_loops():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 2, 7, 7)).astype(np.float32), rng.integers(0, 4, 9)
    share, is_cut = rng.random(9).astype(np.float32), np.arange(9) % 3 > 0
    middle = rng.random((2, 9)).astype(np.float32)
    got, target = mix(*map(torch.from_numpy, (x, y)), 4, *map(torch.from_numpy, (share, is_cut, middle)))
    expected, shares = mixed_by_loops(x, y, 4, share, is_cut, middle)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(target.numpy(), shares, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(target.sum(1).numpy(), 1, rtol=1e-6)


def loader_of(augment: AugmentConfig, n: int = 4000) -> Loader:
    how = Preprocessing(image_px=1, in_channels=1, mean=(0.0,), std=(1.0,))
    images = Images(torch.zeros(n, 1, 1, 1, dtype=torch.uint8), torch.arange(n) % 5)
    return Loader(images, how, CPU, torch.float32, augment)


@pytest.mark.parametrize("parameter", [0.2, 1.0])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_shares_are_of_the_beta_distribution(kind, parameter):
    loader = loader_of(AugmentConfig(**{kind: parameter}))
    mixing = loader.plan(0, 0).mixing
    assert mixing.is_cut_N.unique().tolist() == [kind == "cutmix"]
    # Mean 1/2, variance 1 / (4 (2 a + 1)) of Beta(a, a).
    assert mixing.share_N.mean().item() == pytest.approx(0.5, abs=0.03)
    assert mixing.share_N.var().item() == pytest.approx(1 / (4 * (2 * parameter + 1)), rel=0.06)
    assert torch.equal(mixing.share_N, loader.plan(0, 0).mixing.share_N)
    assert not torch.equal(mixing.share_N, loader.plan(0, 1).mixing.share_N)


def test_with_both_each_image_takes_one_by_chance():
    assert loader_of(AugmentConfig(mixup=0.2, cutmix=1.0)).plan(0, 0).mixing.is_cut_N.float().mean() == pytest.approx(
        0.5, abs=0.04
    )
    assert loader_of(AugmentConfig()).plan(0, 0).mixing is None


def test_balanced_order_shows_classes_equally_often():
    labels_N = torch.tensor([0] * 50 + [2] * 7 + [5] * 3)
    order_N = balanced_order(labels_N, torch.Generator().manual_seed(0))
    assert len(order_N) == 60
    assert Counter(labels_N[order_N].tolist()) == {0: 20, 2: 20, 5: 20}
    shown = Counter(order_N.tolist())
    assert max(shown[i] for i in range(50)) == 1  # none of the large class twice
    assert sorted(shown[i] for i in range(50, 57)) == [2, 3, 3, 3, 3, 3, 3]
    assert sorted(shown[i] for i in range(57, 60)) == [6, 7, 7]
    assert labels_N[order_N].tolist() != sorted(labels_N[order_N].tolist())
    other_N = balanced_order(labels_N, torch.Generator().manual_seed(1))
    assert set(order_N.tolist()) != set(other_N.tolist())


def test_of_an_uneven_rest_no_class_gets_two_more():
    labels_N = torch.tensor([0] * 9 + [1] * 2)
    counts = {
        tuple(torch.bincount(labels_N[balanced_order(labels_N, torch.Generator().manual_seed(seed))]).tolist())
        for seed in range(20)
    }
    assert counts == {(5, 6), (6, 5)}


def test_random_rectangles_are_drawn_anew_each_epoch_and_shown_at_the_side_in_use():
    pixels = torch.randint(256, (40, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    how = Preprocessing(image_px=8, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    loader = Loader(Images(pixels, torch.arange(40)), how, CPU, torch.float32, AugmentConfig(crop_scale=0.3))
    first, second, again = (loader.plan(1, epoch, train_px=5) for epoch in (0, 1, 0))
    assert torch.equal(first.box_4N, again.box_4N)
    assert not torch.equal(first.box_4N, second.box_4N)
    x_NCHW, y_N = loader.batch(first, 10, 30)
    expected = resized_crop(pixels[y_N], first.box_4N[:, 10:30], 5)
    torch.testing.assert_close(x_NCHW, expected.permute(0, 3, 1, 2) / 255)
    assert loader.batch(loader.plan(1, 0), 0, 4)[0].shape == (4, 3, 8, 8)
    plain = Loader(Images(pixels, torch.arange(40)), how, CPU, torch.float32, AugmentConfig())
    assert torch.equal(plain.plan(1, 0).order_N, first.order_N)
