"""Linear classifiers on many features: an L2-SVM or logistic regression, by L-BFGS on matrix products.

scikit-learn's LinearSVC visits one image and one class at a time on one core; for 50,000 images of several thousand
features that is tens of minutes a setting. Here each step is two matrix products over all images and classes, on
all cores, and each setting starts from the last.

Shapes: N images, D features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet.baseline.recipe import Loss

_ROWS = 8192  # at once: their margins stay in the cache
_MOST_STEPS = 300
_WINDOW_STEPS = 10  # single steps can be short long before the end, the first ones above all


@dataclass(frozen=True)
class Linear:
    """A linear classifier: scores are `x @ weight_KD.T + bias_K`."""

    weight_KD: Tensor
    bias_K: Tensor

    def __call__(self, x_ND: Tensor) -> Tensor:
        """Scores [N, K]."""
        return torch.cat([torch.addmm(self.bias_K, part, self.weight_KD.T) for part in torch.split(x_ND, _ROWS)])

    def scaled(self, factor: float) -> Linear:
        """The classifier whose scores are `factor` times these."""
        return Linear(self.weight_KD * factor, self.bias_K * factor)


@dataclass(frozen=True)
class Scaling:
    """Moves features to mean 0 and, over all of them, mean square 1: one factor, so distances keep their shape."""

    mean_D: Tensor
    factor: float

    @classmethod
    def of(cls, x_ND: Tensor) -> Scaling:
        """That of the features `x_ND`."""
        parts = torch.split(x_ND, _ROWS)
        mean_D = (torch.stack([part.sum(0, dtype=torch.float64) for part in parts]).sum(0) / len(x_ND)).float()
        square = math.fsum(float((part - mean_D).square().sum(dtype=torch.float64)) for part in parts)
        return cls(mean_D, math.sqrt(x_ND.numel() / square) if square > 0 else 1.0)


def fit_linear(
    x_ND: Tensor,
    labels_N: Tensor,
    num_classes: int,
    *,
    c: float,
    loss: Loss = "svm",
    scaling: Scaling | None = None,
    start: Linear | None = None,
    tolerance: float = 1e-5,
    on_step: Callable[[], None] = lambda: None,
) -> Linear:
    """Minimise `|w|**2 / 2 + c * mean loss of an image` over weights `w` of scaled features; biases cost nothing.

    The loss of an image is, for `svm`, the sum over the classes of the squared hinge `max(0, 1 - y * score)**2`,
    where y is 1 for its own class and -1 for the others (Coates 2011); for `logistic`, the cross-entropy in nats.
    scikit-learn's C is `c / N`.

    Args:
        x_ND: features, fp32; they are not copied.
        labels_N: class of each image.
        num_classes: K.
        c: how much the loss counts against the length of the weights.
        loss: `svm` or `logistic`.
        scaling: how features are scaled; None: by `Scaling.of` these.
        start: classifier to begin from; it does not change the result beyond `tolerance`.
        tolerance: stop when ten steps lessen the objective by less than ten times this share.
        on_step: called after each step.

    Returns:
        The classifier of the features as they are, unscaled.
    """
    from scipy.optimize import minimize

    scaling = scaling or Scaling.of(x_ND)
    K, D = num_classes, x_ND.shape[1]
    began = _scale(start, scaling) if start else Linear(x_ND.new_zeros(K, D), x_ND.new_zeros(K))
    objective = _Objective(x_ND, labels_N, scaling, c, _LOSSES[loss])
    found = minimize(
        objective,
        torch.cat([began.weight_KD, began.bias_K[:, None]], 1).double().cpu().numpy().ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=_Stop(tolerance, on_step),
        options={"maxiter": _MOST_STEPS, "ftol": 0, "gtol": 1e-8},
    )
    return objective.unscaled(torch.from_numpy(found.x))


class _Stop:
    """Ends the solver when the objective has nearly stopped falling."""

    def __init__(self, tolerance: float, on_step: Callable[[], None]) -> None:
        self._least_share, self._on_step = tolerance * _WINDOW_STEPS, on_step
        self._values: list[float] = []

    def __call__(self, intermediate_result: Any) -> None:  # scipy goes by the argument's name
        self._on_step()
        self._values.append(float(intermediate_result.fun))
        if len(self._values) > _WINDOW_STEPS:
            before, now = self._values[-1 - _WINDOW_STEPS], self._values[-1]
            if before - now < self._least_share * now:
                raise StopIteration


class _Objective:
    """Value and gradient in the weights of scaled features, [K, D + 1] with the bias last, flattened."""

    def __init__(
        self,
        x_ND: Tensor,
        labels_N: Tensor,
        scaling: Scaling,
        c: float,
        loss: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> None:
        self.x_ND, self.labels_N, self.scaling, self.c, self.loss = x_ND, labels_N, scaling, c, loss

    def unscaled(self, parameters: Tensor) -> Linear:
        """The classifier of unscaled features: scaling is folded into it, and the features are left alone."""
        scaled_KD = parameters.view(-1, self.x_ND.shape[1] + 1).to(self.x_ND.device, torch.float32)
        weight_KD = scaled_KD[:, :-1] * self.scaling.factor
        return Linear(weight_KD.contiguous(), scaled_KD[:, -1] - weight_KD @ self.scaling.mean_D)

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        linear = self.unscaled(torch.from_numpy(parameters))
        weight_KD = linear.weight_KD / self.scaling.factor
        total = 0.0
        gradient_KD, gradient_K = torch.zeros_like(weight_KD), torch.zeros_like(linear.bias_K)
        for part_ND, labels_N in self._parts():
            loss, slope_NK = self.loss(torch.addmm(linear.bias_K, part_ND, linear.weight_KD.T), labels_N)
            total += float(loss)
            gradient_KD.addmm_(slope_NK.T, part_ND)
            gradient_K += slope_NK.sum(0)
        share = self.c / len(self.x_ND)
        gradient_KD -= gradient_K[:, None] * self.scaling.mean_D
        gradient_KD = weight_KD + gradient_KD * (self.scaling.factor * share)
        value = 0.5 * float(weight_KD.square().sum(dtype=torch.float64)) + share * total
        gradient = torch.cat([gradient_KD, gradient_K[:, None] * share], 1)
        return value, gradient.double().cpu().numpy().ravel()

    def _parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(torch.split(self.x_ND, _ROWS), torch.split(self.labels_N, _ROWS), strict=True)


def _scale(linear: Linear, scaling: Scaling) -> Linear:
    """The classifier of scaled features that gives the scores of `linear`."""
    return Linear(linear.weight_KD / scaling.factor, linear.bias_K + linear.weight_KD @ scaling.mean_D)


def _squared_hinge(scores_NK: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    side_NK = torch.full_like(scores_NK, -1).scatter_(1, labels_N[:, None], 1)
    short_NK = (1 - side_NK * scores_NK).clamp_(min=0)
    return short_NK.square().sum(dtype=torch.float64), -2 * side_NK * short_NK


def _cross_entropy(scores_NK: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    log_p_NK = scores_NK.log_softmax(1)
    own_N1 = labels_N[:, None]
    loss = -log_p_NK.gather(1, own_N1).sum(dtype=torch.float64)
    return loss, log_p_NK.exp_().scatter_add_(1, own_N1, -torch.ones_like(own_N1, dtype=log_p_NK.dtype))


_LOSSES: dict[Loss, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "svm": _squared_hinge,
    "logistic": _cross_entropy,
}


def calibrate(scores_NK: Tensor, labels_N: Tensor) -> float:
    """What to multiply scores by so that their softmax are the best probabilities (Guo 2017: temperature scaling).

    Targets are 1 - 1 / (N + 2) for the true class, as if one more image had gone wrong (Platt 1999), so that a few
    images that are all right do not make the classifier certain.

    Args:
        scores_NK: scores of images the classifier was not fitted to.
        labels_N: class of each.
    """
    from scipy.optimize import minimize_scalar

    scores_NK = scores_NK.double()
    N, K = scores_NK.shape
    smoothing = K / (K - 1) / (N + 2)  # torch spreads it over all K classes, the true one included

    def mean_loss(log_factor: float) -> float:
        scaled_NK = scores_NK * float(np.exp(log_factor))
        return float(F.cross_entropy(scaled_NK, labels_N, label_smoothing=smoothing))

    return float(np.exp(minimize_scalar(mean_loss, bounds=(-7, 7), method="bounded").x))
