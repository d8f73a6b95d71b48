"""Shifts of colour along principal components, against numpy on floating-point pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data import Images
from alexnet.data.loading.from_memory import Loader
from alexnet.data.transforms.augment import Normalizer
from alexnet.data.transforms.color import IMAGENET_COLORS, ColorComponents, color_components
from alexnet.data.transforms.statistics import Moments
from alexnet.errors import UserError

CPU = torch.device("cpu")
HOW = Preprocessing(image_px=6, in_channels=3, mean=(0.5, 0.25, 0.125), std=(0.25, 0.5, 0.2))


def photographs(n: int = 60, channels: int = 3, px: int = 6) -> Images:
    """Noise whose channels go together, as those of photographs do."""
    rng = np.random.default_rng(0)
    mixing = np.array([[30, 4, 1], [28, -2, -6], [24, -3, 5]])[:channels]
    levels = 120 + rng.normal(size=(n, px, px, 3)) @ mixing.T
    return Images(torch.from_numpy(np.clip(levels, 0, 255).astype(np.uint8)), torch.arange(n))


def reference(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, the largest first, and components as columns, from numpy's covariance of float pixels."""
    x_NC = images.pixels_NHWC.reshape(-1, images.in_channels).numpy() / 255
    values, vectors = np.linalg.eigh(np.cov(x_NC, rowvar=False, bias=True).reshape((images.in_channels,) * 2))
    return values[::-1], vectors[:, ::-1]


@pytest.mark.parametrize("channels", [1, 3])
def test_components_are_those_of_numpys_covariance(channels):
    images = photographs(channels=channels)
    found = color_components(images, AugmentConfig(pca_color=0.1))
    values, vectors = reference(images)
    np.testing.assert_allclose(found.eigenvalues, values, rtol=1e-9)
    for row, column in zip(found.eigenvectors, vectors.T, strict=True):
        assert abs(np.dot(row, column)) == pytest.approx(1, abs=1e-9)  # either sign is a component
        assert max(row, key=abs) > 0


def test_sums_of_parts_are_the_sums_of_the_whole():
    pixels = photographs().pixels_NHWC.numpy()
    parts = Moments.zero(3)
    for part in np.array_split(pixels, 7):
        parts += Moments.of(part)
    assert parts == Moments.of(pixels)
    assert ColorComponents.of(parts) == ColorComponents.of(Moments.of(pixels))


def test_images_are_shifted_by_alpha_times_eigenvalue_times_component():
    images = photographs(8)
    colors = color_components(images, AugmentConfig(pca_color=0.1))
    alpha_NC = np.random.default_rng(1).normal(scale=5, size=(8, 3))
    got = Normalizer(HOW, CPU, torch.float32)(images.pixels_NHWC, colors.shifts(torch.from_numpy(alpha_NC).float()))
    values = np.array(colors.eigenvalues)
    for i, pixels in enumerate(images.pixels_NHWC.numpy() / 255):
        shift = np.array(colors.eigenvectors).T @ (alpha_NC[i] * values)  # [p1 p2 p3][a1 l1, a2 l2, a3 l3]^T
        expected = (pixels + shift - HOW.mean) / HOW.std
        np.testing.assert_allclose(got[i].permute(1, 2, 0).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_batch_carries_its_plans_shifts_and_loses_none_of_the_rest():
    images = photographs()
    augment = AugmentConfig(pca_color=0.1, flip="random", crop_padding_px=1)
    colors = color_components(images, augment)
    plain = Loader(images, HOW, CPU, torch.float32, AugmentConfig(flip="random", crop_padding_px=1))
    loader = Loader(images, HOW, CPU, torch.float32, augment, colors=colors)
    plan = loader.plan(0, 0)
    (x_NCHW, y_N), (without_NCHW, same_N) = loader.batch(plan, 5, 25), plain.batch(plain.plan(0, 0), 5, 25)
    assert torch.equal(y_N, same_N)
    shift_NC = (x_NCHW - without_NCHW) * torch.tensor(HOW.std)[:, None, None]
    torch.testing.assert_close(shift_NC, plan.shift_NC[5:25, :, None, None].expand_as(x_NCHW), atol=1e-5, rtol=1e-4)


def test_shifts_are_drawn_anew_with_the_deviation_asked_for():
    images = photographs(4000, px=1)
    colors = color_components(images, AugmentConfig(pca_color=0.1))
    loader = Loader(
        images,
        Preprocessing(image_px=1, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3),
        CPU,
        torch.float32,
        AugmentConfig(pca_color=0.1),
        colors=colors,
    )
    plans = [loader.plan(0, epoch) for epoch in range(2)]
    # The components are orthonormal: the shift's part along each, divided by its eigenvalue, is alpha.
    alphas = [
        plan.shift_NC.double() @ torch.tensor(colors.eigenvectors).double().T / torch.tensor(colors.eigenvalues)
        for plan in plans
    ]
    for alpha_NC in alphas:
        assert alpha_NC.mean(0).abs().max() < 0.1 * 4 / 4000**0.5
        torch.testing.assert_close(alpha_NC.std(0), torch.full((3,), 0.1).double(), rtol=0.06, atol=0)
        assert torch.corrcoef(alpha_NC.T).fill_diagonal_(0).abs().max() < 0.07
    assert torch.corrcoef(torch.stack([alphas[0][:, 0], alphas[1][:, 0]]))[0, 1].abs() < 0.07
    assert torch.equal(loader.plan(0, 1).shift_NC, plans[1].shift_NC)
    assert not torch.equal(loader.plan(1, 1).shift_NC, plans[1].shift_NC)


def test_imagenets_components_are_orthonormal_to_their_four_digits():
    vectors = np.array(IMAGENET_COLORS.eigenvectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=2e-4)
    assert sorted(IMAGENET_COLORS.eigenvalues, reverse=True) == list(IMAGENET_COLORS.eigenvalues)
    asked = AugmentConfig(pca_color=0.1, pca_color_of="imagenet")
    assert color_components(photographs(), asked) is IMAGENET_COLORS
    with pytest.raises(UserError, match=r"do not fit grey images: use augment\.pca_color_of train"):
        color_components(photographs(channels=1), asked)
    assert color_components(photographs(), AugmentConfig()) is None
