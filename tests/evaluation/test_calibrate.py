"""Temperatures, thresholds and distances, on scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from alexnet import models
from alexnet.card import Calibration, Preprocessing
from alexnet.data import Images
from alexnet.evaluation import calibrate
from alexnet.evaluation.calibrate import FeatureMeans
from alexnet.runtime import Runtime

CPU = Runtime(torch.device("cpu"), torch.float32, 1)


def drawn(n: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Scores, and labels drawn from their softmax at `temperature`: what calibration should find."""
    generator = torch.Generator().manual_seed(0)
    scores_NK = 4 * torch.randn(n, 5, generator=generator)
    labels_N = torch.multinomial((scores_NK / temperature).softmax(1), 1, generator=generator).flatten()
    return scores_NK.log_softmax(1), labels_N


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_labels_were_drawn_with_is_found(temperature: float) -> None:
    log_p_NK, labels_N = drawn(20_000, temperature)
    assert calibrate.fit_temperature(log_p_NK, labels_N) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("label", [0, 1])
def test_few_images_move_the_temperature_little(label: int) -> None:
    """30 images that are all right, or all wrong: the mode of the posterior under a log-normal prior, by scipy."""
    log_p_NK = torch.tensor([[2.0, 0.0]]).log_softmax(1).repeat(30, 1)
    margin = 2.0 if label == 0 else -2.0
    mode = minimize_scalar(lambda log_t: 30 * np.logaddexp(0, -margin / np.exp(log_t)) + log_t**2 / (2 * 0.25**2))
    found = calibrate.fit_temperature(log_p_NK, torch.full((30,), label))
    assert found == pytest.approx(np.exp(mode.x), rel=1e-3)
    assert 0.7 < found < 4


def test_the_threshold_keeps_the_accuracy_of_given_answers() -> None:
    p_N = torch.linspace(0.99, 0.5, 1000)
    correct_N = torch.arange(1000) < 600  # right down to 0.7, wrong below
    curve = calibrate.coverage_curve(p_N, correct_N)
    fitted = Calibration(temperature=1.0, n=1000, coverage=curve)
    for accept in (0.6, 0.8, 0.95, 1.0):
        least = calibrate.threshold(fitted, accept)
        given_N = p_N >= least
        assert correct_N[given_N].double().mean() >= accept
        assert given_N.double().mean() >= 0.6 / accept - 0.03  # no more are withheld than need be
    none_right = Calibration(temperature=1.0, n=2, coverage=((0.9, 0.5, 0.0), (0.8, 1.0, 0.0)))
    assert calibrate.threshold(none_right, 0.5) > 1


def test_distances_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    features_ND, labels_N = torch.randn(60, 7, generator=generator), torch.arange(60) % 3
    means = FeatureMeans.of(features_ND, labels_N, 4)  # the fourth class has no images
    own = [features_ND[labels_N == k].mean(0) for k in range(3)]
    within = torch.stack([f - own[int(label)] for f, label in zip(features_ND, labels_N, strict=True)])
    std = within.square().mean(0).sqrt()
    expected = [min((((f - mean) / std) ** 2).mean().sqrt().item() for mean in own) for f in features_ND]
    torch.testing.assert_close(means.distance(features_ND), torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def fitted() -> tuple[models.ConvNet, Preprocessing, Calibration, Images]:
    """A network whose classes are the levels of grey that it was set to tell apart, and its calibration."""
    model = models.create("tiny_alexnet", num_classes=2, image_px=8).eval()
    models.initialize(model, "kaiming", torch.Generator().manual_seed(0))
    how = Preprocessing(image_px=8, in_channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(-10, 11, (80, 8, 8, 3), generator=generator)
    labels_N = torch.arange(80) % 2
    pixels = (60 + 120 * labels_N[:, None, None, None] + noise).byte()
    images = Images(pixels, labels_N)
    found = calibrate.fit(model, images, images, how, CPU)
    assert found is not None
    return model, how, found, images


def test_few_held_out_images_fit_nothing(fitted) -> None:
    model, how, _, images = fitted
    assert calibrate.fit(model, images, None, how, CPU) is None
    assert calibrate.fit(model, images, images.take(torch.arange(19)), how, CPU) is None


def test_a_twentieth_of_the_held_out_images_is_called_none_and_noise_always(fitted) -> None:
    model, how, found, images = fitted
    log_p_NK, features_ND = calibrate.score(model, images, how, CPU)
    given = calibrate.answers(log_p_NK, features_ND, found, accept=0.0)
    assert given.count("none") == 4
    stripes = Images(
        torch.tensor([0, 255], dtype=torch.uint8).repeat(4).view(1, 1, 8, 1).expand(5, 8, 8, 3), images.labels_N[:5]
    )
    log_p_NK, features_ND = calibrate.score(model, stripes, how, CPU)
    assert calibrate.answers(log_p_NK, features_ND, found, accept=0.0) == ["none"] * 5
    assert "none" not in calibrate.answers(log_p_NK, None, found, accept=0.0)


def test_without_a_calibration_the_likeliest_class_is_the_answer() -> None:
    log_p_NK = torch.tensor([[0.4, 0.6], [0.9, 0.1]]).log()
    assert calibrate.answers(log_p_NK, torch.zeros(2, 3), None) == [1, 0]


def test_what_becomes_of_labelled_images() -> None:
    log_p_NK = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]]).log()
    found = Calibration(temperature=1.0, n=4, coverage=((0.9, 0.25, 1.0), (0.6, 0.5, 0.95), (0.5, 1.0, 0.7)))
    seen = calibrate.measure_answers(log_p_NK, None, torch.tensor([0, 1, 1, 1]), found, accept=0.95)
    assert (seen.least_p, seen.share, seen.none_share) == (0.6, 0.75, None)
    assert seen.accuracy == pytest.approx(2 / 3)
    assert seen.curve[-1] == (1.0, 0.75)
