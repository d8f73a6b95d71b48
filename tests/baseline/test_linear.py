"""The solver against scikit-learn, autograd and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet.baseline.linear import _LOSSES, Linear, Scaling, _Objective, calibrate, fit_linear

K = 3


@pytest.fixture(scope="module")
def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Three overlapping clouds, of features with means and sizes of their own."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(300) % K
    centres_KD = torch.randn(K, 8, generator=generator)
    x_ND = torch.randn(300, 8, generator=generator) + centres_KD[labels_N]
    return x_ND * torch.linspace(0.5, 2, 8) + torch.arange(8.0), labels_N


def scaled(x_ND: torch.Tensor) -> torch.Tensor:
    scaling = Scaling.of(x_ND)
    return (x_ND - scaling.mean_D) * scaling.factor


def test_scaling_gives_mean_0_and_mean_square_1(data):
    x_ND = scaled(data[0])
    torch.testing.assert_close(x_ND.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    assert float(x_ND.square().mean()) == pytest.approx(1, rel=1e-5)
    assert Scaling.of(torch.ones(4, 2)).factor == 1  # features that never vary are left as they are


@pytest.mark.parametrize("c", [0.3, 30.0])
def test_the_svm_is_scikit_learns(data, c):
    from sklearn.svm import LinearSVC

    x_ND, labels_N = data
    ours = fit_linear(x_ND, labels_N, K, c=c, tolerance=1e-10)
    # liblinear also shortens the bias; a large intercept_scaling makes that as good as nothing.
    theirs = LinearSVC(C=c / len(x_ND), intercept_scaling=100, tol=1e-8, dual=False)
    expected = theirs.fit(scaled(x_ND).numpy(), labels_N.numpy()).decision_function(scaled(x_ND).numpy())
    np.testing.assert_allclose(ours(x_ND).numpy(), expected, atol=5e-3)


def test_logistic_regression_is_scikit_learns(data):
    from sklearn.linear_model import LogisticRegression

    x_ND, labels_N = data
    ours = fit_linear(x_ND, labels_N, K, c=10.0, loss="logistic", tolerance=1e-10)
    theirs = LogisticRegression(C=10 / len(x_ND), tol=1e-8, max_iter=2000)
    expected = theirs.fit(scaled(x_ND).numpy(), labels_N.numpy()).predict_proba(scaled(x_ND).numpy())
    np.testing.assert_allclose(ours(x_ND).softmax(1).numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("loss", ["svm", "logistic"])
def test_the_gradient_is_that_of_the_value(data, loss):
    x_ND, labels_N = data
    x_ND = x_ND.double()
    parameters = np.random.default_rng(0).normal(size=K * 9) / 3
    _, gradient = _Objective(x_ND.float(), labels_N, Scaling.of(x_ND.float()), 5.0, _LOSSES[loss])(parameters)
    w = torch.from_numpy(parameters).view(K, 9).requires_grad_()
    scores_NK = scaled(x_ND.float()).double() @ w[:, :-1].T + w[:, -1]
    side_NK = 2 * F.one_hot(labels_N, K) - 1
    hinge = (1 - side_NK * scores_NK).clamp(min=0).square().sum(1).mean()
    mean_loss = hinge if loss == "svm" else F.cross_entropy(scores_NK, labels_N)
    (w[:, :-1].square().sum() / 2 + 5 * mean_loss).backward()
    assert w.grad is not None
    np.testing.assert_allclose(gradient.reshape(K, 9), w.grad.numpy(), rtol=1e-3, atol=1e-4)


def test_where_it_starts_does_not_matter(data):
    x_ND, labels_N = data
    first = fit_linear(x_ND, labels_N, K, c=3.0, tolerance=1e-9)
    elsewhere = Linear(torch.ones(K, 8), torch.ones(K))
    again = fit_linear(x_ND, labels_N, K, c=3.0, tolerance=1e-9, start=elsewhere)
    torch.testing.assert_close(first(x_ND), again(x_ND), atol=2e-3, rtol=0)
    steps: list[int] = []
    fit_linear(x_ND, labels_N, K, c=3.0, start=first, on_step=lambda: steps.append(1))
    assert len(steps) <= 11  # there already: no longer than it takes to see that nothing changes


def test_calibration_finds_the_factor_that_was_taken_away():
    generator = torch.Generator().manual_seed(0)
    scores_NK = 3 * torch.randn(20_000, 4, generator=generator)
    labels_N = torch.multinomial(scores_NK.softmax(1), 1, generator=generator)[:, 0]
    assert calibrate(scores_NK / 50, labels_N) == pytest.approx(50, rel=0.05)


def test_a_few_images_that_are_all_right_do_not_make_it_certain():
    factor = calibrate(torch.tensor([[1.0, -1.0]] * 10), torch.zeros(10, dtype=torch.int64))
    p = float((torch.tensor([1.0, -1.0]) * factor).softmax(0)[0])
    assert p == pytest.approx(11 / 12, abs=1e-3)  # Platt's (N + 1) / (N + 2)
