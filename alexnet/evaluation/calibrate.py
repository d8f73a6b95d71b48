"""Probabilities that mean what they say, and answers that are withheld where a network cannot know.

A temperature makes probabilities agree with accuracy on held-out images (Guo 2017). From those images also come the
probability below which an answer is withheld ("unsure"), and how far from all classes, in feature space, an image may
lie before it is called none of them (after Lee 2018, with a diagonal covariance).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.card import Calibration, Preprocessing
from alexnet.data import AnyImages
from alexnet.evaluation.evaluate import last_features, log_probabilities
from alexnet.models import ConvNet
from alexnet.runtime import Runtime

UNSURE, NONE = "unsure", "none"
"""Answers in place of a class."""
_WITHHELD = (UNSURE, NONE)
DEFAULT_ACCEPT = 0.95
"""Accuracy that given answers keep."""

_LARGEST_MEANS = 2**20  # numbers; more would make the card larger than the network
_MOST_TRAIN_IMAGES, _TRAIN_IMAGES_A_CLASS = 5000, 50
_PRIOR_STD = 0.25  # of the logarithm of a temperature
_FEWEST = 20  # held-out images that a temperature can be fitted on
_REFUSED = 0.05
_COVERAGE_POINTS = 50


@dataclass(frozen=True)
class FeatureMeans:
    """Where the classes lie in feature space."""

    means_KD: Tensor
    scale_D: Tensor

    @classmethod
    def of(cls, features_ND: Tensor, labels_N: Tensor, classes: int) -> FeatureMeans:
        """From the features of training images; a class without images lies infinitely far."""
        counts_K = torch.bincount(labels_N, minlength=classes)
        sums_KD = torch.zeros(classes, features_ND.shape[1]).index_add_(0, labels_N, features_ND)
        means_KD = sums_KD / counts_K.clamp(min=1)[:, None]
        within_ND = features_ND - means_KD[labels_N]
        scale_D = within_ND.square().mean(0).sqrt().clamp(min=1e-3)
        means_KD[counts_K == 0] = torch.inf
        return cls(means_KD, scale_D)

    def distance(self, features_ND: Tensor) -> Tensor:
        """[N]: from the nearest class mean, in standard deviations within classes (root mean square over D)."""
        scaled_ND, scaled_KD = features_ND / self.scale_D, self.means_KD / self.scale_D
        nearest_N: Tensor = torch.cdist(scaled_ND, scaled_KD, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        return nearest_N.div(len(self.scale_D) ** 0.5)


def fit_temperature(log_p_NK: Tensor, labels_N: Tensor) -> float:
    """The temperature under which the labels are likeliest, in 0.05..20, drawn towards 1 where there are few.

    Its logarithm has a normal prior of standard deviation 0.25 about 0, so that a few dozen images, or images that
    are all classified correctly, do not make a network much more or less certain than it is.
    """
    log_p_NK = log_p_NK.double()

    def loss(log_t: float) -> float:
        likelihood = F.cross_entropy(log_p_NK / np.exp(log_t), labels_N, reduction="sum")
        return float(likelihood) + log_t**2 / (2 * _PRIOR_STD**2)

    low, high = np.log(0.05), np.log(20.0)
    golden = (5**0.5 - 1) / 2
    for _ in range(60):  # the loss is unimodal in the temperature: golden-section search
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def with_temperature(log_p_NK: Tensor, calibration: Calibration | None) -> Tensor:
    """Calibrated log-probabilities; as they are where nothing was fitted."""
    return log_p_NK if calibration is None else (log_p_NK / calibration.temperature).log_softmax(1)


def fit(
    model: nn.Module, train: AnyImages, val: AnyImages | None, preprocessing: Preprocessing, runtime: Runtime
) -> Calibration | None:
    """Fit all of it; None where fewer than 20 images were held out.

    Args:
        model: the trained network; distances in feature space are known for networks of ours alone.
        train: the training images, of which at most 5,000 (50 a class) are used.
        val: the held-out images.
        preprocessing: how pixels become the network's input.
        runtime: device and compute dtype.
    """
    if val is None or len(val) < _FEWEST:
        return None
    log_p_NK, features_ND = score(model, val, preprocessing, runtime)
    labels_N = val.labels_N
    temperature = fit_temperature(log_p_NK, labels_N)
    best_p_N, best_N = (log_p_NK / temperature).softmax(1).max(1)
    coverage = coverage_curve(best_p_N, best_N == labels_N)
    K, D = log_p_NK.shape[1], 0 if features_ND is None else features_ND.shape[1]
    if features_ND is None or K * D > _LARGEST_MEANS:
        return Calibration(temperature=temperature, n=len(val), coverage=coverage)
    at_most = min(_MOST_TRAIN_IMAGES, _TRAIN_IMAGES_A_CLASS * K)
    some_N = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:at_most]
    some = train.take(some_N)
    _, train_ND = score(model, some, preprocessing, runtime)
    assert train_ND is not None
    means = _rounded(FeatureMeans.of(train_ND, some.labels_N, K))
    limit = float(torch.quantile(means.distance(features_ND).double(), 1 - _REFUSED))
    return Calibration(
        temperature=temperature,
        n=len(val),
        coverage=coverage,
        limit=limit,
        means=_to_text(means.means_KD),
        scale=_to_text(means.scale_D),
    )


def threshold(calibration: Calibration, accept: float) -> float:
    """The least probability of an answer, so that `accept` of the answers given are right.

    0 where so many are right that all can be answered; above 1 where no threshold keeps so many right.
    """
    if calibration.coverage and calibration.coverage[-1][2] >= accept:
        return 0.0
    enough = [p for p, _, accuracy in calibration.coverage if accuracy >= accept]
    return min(enough, default=1.01)


def answers(
    log_p_NK: Tensor, features_ND: Tensor | None, calibration: Calibration | None, accept: float = DEFAULT_ACCEPT
) -> list[int | str]:
    """For each image the position of its class, "unsure" or "none".

    Args:
        log_p_NK: calibrated log-probabilities.
        features_ND: what the last layer was given; None: no image is called none of the classes.
        calibration: of the network; None: the likeliest class is always the answer.
        accept: share of the given answers that are to be right, in 0..1.
    """
    best_p_N, best_N = log_p_NK.exp().max(1)
    if calibration is None:
        return list(best_N.tolist())
    least = threshold(calibration, accept)
    far_N = torch.zeros(len(best_N), dtype=torch.bool)
    if features_ND is not None and calibration.limit is not None:
        far_N = means_of(calibration).distance(features_ND) > calibration.limit
    return [
        NONE if far else UNSURE if p < least else best
        for p, best, far in zip(best_p_N.tolist(), best_N.tolist(), far_N.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Answered:
    """How far answers can be trusted on images that took no part in the calibration."""

    accept: float
    """Accuracy that given answers were to keep."""
    least_p: float
    """Probability below which an answer is withheld."""
    share: float
    """Of all images, those that were given a class."""
    accuracy: float | None
    """Of these answers; None where none was given."""
    none_share: float | None
    """Of all images, those called none of the classes although they are; None where that is not judged."""
    curve: tuple[tuple[float, float], ...]
    """Share answered and accuracy for thresholds from the highest to the lowest."""


def measure_answers(
    log_p_NK: Tensor,
    features_ND: Tensor | None,
    labels_N: Tensor,
    calibration: Calibration,
    accept: float = DEFAULT_ACCEPT,
) -> Answered:
    """What becomes of labelled images; the arguments are those of `answers`."""
    given = answers(log_p_NK, features_ND, calibration, accept)
    named = [
        (answer, label) for answer, label in zip(given, labels_N.tolist(), strict=True) if answer not in _WITHHELD
    ]
    best_p_N, best_N = log_p_NK.exp().max(1)
    curve = coverage_curve(best_p_N, best_N == labels_N)
    judged = features_ND is not None and calibration.limit is not None
    return Answered(
        accept=accept,
        least_p=threshold(calibration, accept),
        share=len(named) / len(given),
        accuracy=sum(answer == label for answer, label in named) / len(named) if named else None,
        none_share=given.count(NONE) / len(given) if judged else None,
        curve=tuple((share, accuracy) for _, share, accuracy in curve),
    )


def means_of(calibration: Calibration) -> FeatureMeans:
    """The class means that a calibration with a `limit` holds."""
    assert calibration.means is not None
    assert calibration.scale is not None
    scale_D = _from_text(calibration.scale)
    return FeatureMeans(_from_text(calibration.means).view(-1, len(scale_D)), scale_D)


def score(
    model: nn.Module, images: AnyImages, preprocessing: Preprocessing, runtime: Runtime
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities [N, K] and, of networks of ours, what the last layer is given, [N, D]; both on the CPU."""
    if not isinstance(model, ConvNet):
        return log_probabilities(model, images, preprocessing, runtime).cpu(), None
    with last_features(model) as seen:
        log_p_NK = log_probabilities(model, images, preprocessing, runtime).cpu()
    return log_p_NK, torch.cat(seen).cpu()


def coverage_curve(best_p_N: Tensor, correct_N: Tensor) -> tuple[tuple[float, float, float], ...]:
    """At up to 50 places of the images, the surest first: probability, share of the images so far, their accuracy."""
    order_N = best_p_N.argsort(descending=True)
    p, accuracy = best_p_N[order_N], correct_N[order_N].double().cumsum(0) / torch.arange(1, len(order_N) + 1)
    N = len(order_N)
    at = sorted({round(i * (N - 1) / (_COVERAGE_POINTS - 1)) for i in range(_COVERAGE_POINTS)})
    return tuple((float(p[i]), (i + 1) / N, float(accuracy[i])) for i in at)


def _rounded(means: FeatureMeans) -> FeatureMeans:
    return FeatureMeans(means.means_KD.half().float(), means.scale_D.half().float())


def _to_text(values: Tensor) -> str:
    return base64.b64encode(values.half().numpy().tobytes()).decode("ascii")


def _from_text(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32))
