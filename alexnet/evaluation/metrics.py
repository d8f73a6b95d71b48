"""What a classifier's scores are worth, as counts that are summed first and divided once.

Shapes: N images, K classes, B calibration bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from alexnet.errors import TrainingFailedError
from alexnet.text import html_table

_BINS = 15  # as Guo et al. 2017 (On Calibration of Modern Neural Networks), so figures compare
_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True)
class ClassResult:
    """How one class was recognised; fractions are 0 where their denominator is."""

    name: str
    n: int
    """Images of the class."""
    precision: float
    """Of the images called this class, the share that are."""
    recall: float
    """Of the images of this class, the share called so."""
    f1: float
    """Harmonic mean of the two."""


@dataclass(frozen=True)
class CalibrationBin:
    """The images whose confidence, the probability given to the predicted class, lies in (low, high]."""

    low: float
    high: float
    n: int
    confidence: float | None
    """Mean confidence; None without images."""
    accuracy: float | None
    """Share predicted correctly; None without images."""


@dataclass(frozen=True)
class Evaluation:
    """One pass over a labelled split. Fractions lie in 0..1."""

    n: int
    """Images seen."""
    top1: float
    """Share of images whose class has the highest score."""
    top5: float
    """Share of images whose class is among the `k` highest scores."""
    k: int
    """min(5, K)."""
    loss: float
    """Mean cross-entropy in nats; infinite where a true class was given probability 0."""
    ece: float
    """Expected calibration error: mean distance between confidence and accuracy, weighted by the bins' images."""
    top1_interval: tuple[float, float]
    """95 % Wilson interval of top1."""
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[K][K] images; rows are the true class, columns the predicted one."""
    bins: tuple[CalibrationBin, ...]
    """Equal parts of the confidence 0..1."""

    def to_json(self) -> dict[str, Any]:
        """Plain values: n, top1, top5, loss (None if infinite), ece, top1_interval, classes, confusion."""
        return {
            "n": self.n,
            "top1": self.top1,
            "top5": self.top5,
            "loss": self.loss if math.isfinite(self.loss) else None,  # JSON has no infinity
            "ece": self.ece,
            "top1_interval": list(self.top1_interval),
            "classes": [
                {"name": c.name, "n": c.n, "precision": c.precision, "recall": c.recall, "f1": c.f1}
                for c in self.classes
            ],
            "confusion": [list(row) for row in self.confusion],
        }

    def _repr_html_(self) -> str:
        """Tables for notebooks: the figures, and precision and recall of each class."""
        low, high = self.top1_interval
        figures = [
            ("top-1", f"{self.top1:.4f}"),
            ("95% interval of top-1", f"{low:.4f} to {high:.4f}"),
            (f"top-{self.k}", f"{self.top5:.4f}"),
            ("loss, nats", f"{self.loss:.4f}"),
            ("calibration error", f"{self.ece:.4f}"),
            ("images", f"{self.n:,}"),
        ]
        classes = [(c.name, f"{c.n:,}", f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}") for c in self.classes]
        head = ("class", "images", "precision", "recall", "F1")
        return html_table(("figure", "value"), figures) + html_table(head, classes)


@dataclass(frozen=True)
class _Sums:
    """Everything kept of the images seen; adding two gives that of both."""

    n: Tensor  # []
    in_top_k: Tensor  # []
    loss: Tensor  # []
    unusable: Tensor  # [] images whose scores make no probabilities
    mislabelled: Tensor  # [] labels outside 0..K-1
    confusion_KK: Tensor
    count_B: Tensor
    confidence_B: Tensor
    correct_B: Tensor

    def __add__(self, other: _Sums) -> _Sums:
        # New tensors, never in place: those made under torch.inference_mode may not be written outside it.
        sums = {}
        for field in fields(self):
            mine: Tensor = getattr(self, field.name)
            sums[field.name] = mine + getattr(other, field.name).to(mine.device, mine.dtype)
        return _Sums(**sums)


class Metrics:
    """Adds up scores batch by batch; batches of any size give what one batch of all images would.

    Only counts and sums are kept, on the device the scores are on, and `update` never waits for that device.

    Example:
        >>> metrics = Metrics(num_classes=2)
        >>> metrics.update(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
        >>> metrics.result(["cat", "dog"]).top1
        0.5
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 1:
            raise ValueError(f"metrics need at least one class, not {num_classes}")
        self.num_classes = num_classes
        self._sums: _Sums | None = None

    @torch.no_grad()
    def update(self, scores_NK: Tensor, labels_N: Tensor) -> None:
        """Add a batch.

        Args:
            scores_NK: logits or log-probabilities, of any floating type. Log-softmax is applied, which leaves
                log-probabilities as they are.
            labels_N: integer position of each true class, on the same device.

        Raises:
            ValueError: the shapes do not fit. Values that cannot be used (NaN, labels out of range) are reported
                by `result`, as looking at them here would wait for the device.
        """
        expected = (len(labels_N), self.num_classes)
        if labels_N.ndim != 1 or scores_NK.shape != expected:
            raise ValueError(
                f"scores of shape {list(scores_NK.shape)} and labels of shape {list(labels_N.shape)} do not fit "
                f"{self.num_classes} classes: expected [N, {self.num_classes}] and [N]"
            )
        self._add(_sum_batch(scores_NK, labels_N))

    def merge(self, other: Metrics) -> None:
        """Add all that `other` has seen, from whichever device; raises `ValueError` if its classes differ."""
        if other.num_classes != self.num_classes:
            raise ValueError(f"cannot merge metrics of {other.num_classes} classes into {self.num_classes}")
        if other._sums is not None:
            self._add(other._sums)

    def result(self, class_names: Sequence[str]) -> Evaluation:
        """Divide: the evaluation of all images so far. Waits for the device.

        Raises:
            TrainingFailedError: scores were NaN or infinite.
            ValueError: no images were seen, labels lay outside 0..K-1, or the names are not K.
        """
        if len(class_names) != self.num_classes:
            raise ValueError(f"{len(class_names)} class names for {self.num_classes} classes")
        sums = self._sums
        n = 0 if sums is None else int(sums.n)
        if sums is None or n == 0:
            raise ValueError("nothing to evaluate: no images were given")
        if mislabelled := int(sums.mislabelled):
            raise ValueError(f"{mislabelled} of {n} labels lie outside 0..{self.num_classes - 1}")
        if unusable := int(sums.unusable):
            raise TrainingFailedError(
                f"the scores of {unusable} of {n} images are NaN or infinite: the network's weights or its input "
                "hold such values, usually because training diverged"
            )
        confusion = sums.confusion_KK.tolist()
        correct = sum(row[i] for i, row in enumerate(confusion))
        return Evaluation(
            n=n,
            top1=correct / n,
            top5=int(sums.in_top_k) / n,
            k=min(5, self.num_classes),
            loss=float(sums.loss) / n,
            ece=float((sums.confidence_B - sums.correct_B).abs().sum()) / n,
            top1_interval=wilson_interval(correct, n),
            classes=_class_results(confusion, class_names),
            confusion=tuple(map(tuple, confusion)),
            bins=_calibration_bins(sums),
        )

    def _add(self, sums: _Sums) -> None:
        self._sums = sums if self._sums is None else self._sums + sums


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of which `correct` of `n` were seen (Wilson 1927); n is 1 or more."""
    share = correct / n
    shrink = 1 + _Z_95**2 / n
    centre = (share + _Z_95**2 / (2 * n)) / shrink
    half = _Z_95 / shrink * math.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n**2))
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def _sum_batch(scores_NK: Tensor, labels_N: Tensor) -> _Sums:
    K, device = scores_NK.shape[1], scores_NK.device
    wide = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
    mislabelled_N = (labels_N < 0) | (labels_N >= K)
    truth_N = labels_N.long().clamp(0, K - 1)
    log_p_NK = scores_NK.to(wide).log_softmax(1)

    # The true class's rank: classes with more, or as much and a lower index, as argmax breaks ties.
    own_N1 = scores_NK.gather(1, truth_N[:, None])
    before_NK = torch.arange(K, device=device) < truth_N[:, None]
    rank_N = ((scores_NK > own_N1) | ((scores_NK == own_N1) & before_NK)).sum(1)
    predicted_N = scores_NK.argmax(1)
    cells_N = truth_N * K + predicted_N
    confusion = torch.zeros(K * K, dtype=torch.int64, device=device)
    confusion.index_add_(0, cells_N, torch.ones_like(cells_N))  # bincount would wait for a CUDA device

    confidence_N = log_p_NK.amax(1).exp()
    bin_N = ((confidence_N * _BINS).ceil().long() - 1).clamp(0, _BINS - 1)
    in_bin_NB = bin_N[:, None] == torch.arange(_BINS, device=device)
    return _Sums(
        n=torch.full((), len(labels_N), device=device),
        in_top_k=(rank_N < 5).sum(),
        loss=0 - log_p_NK.gather(1, truth_N[:, None]).sum(),  # a bare minus would turn 0 into -0
        unusable=log_p_NK.isnan().any(1).sum(),
        mislabelled=mislabelled_N.sum(),
        confusion_KK=confusion.view(K, K),
        count_B=in_bin_NB.sum(0),
        confidence_B=(in_bin_NB * confidence_N[:, None]).sum(0),
        correct_B=(in_bin_NB & (predicted_N == truth_N)[:, None]).sum(0),
    )


def _calibration_bins(sums: _Sums) -> tuple[CalibrationBin, ...]:
    rows = zip(sums.count_B.tolist(), sums.confidence_B.tolist(), sums.correct_B.tolist(), strict=True)
    return tuple(
        CalibrationBin(
            low=i / _BINS,
            high=(i + 1) / _BINS,
            n=count,
            confidence=confidence / count if count else None,
            accuracy=correct / count if count else None,
        )
        for i, (count, confidence, correct) in enumerate(rows)
    )


def _class_results(confusion: list[list[int]], names: Sequence[str]) -> tuple[ClassResult, ...]:
    predicted_K = [sum(column) for column in zip(*confusion, strict=True)]
    results = []
    for i, (name, row) in enumerate(zip(names, confusion, strict=True)):
        n, hits = sum(row), row[i]
        results.append(
            ClassResult(
                name=name,
                n=n,
                precision=hits / predicted_K[i] if predicted_K[i] else 0.0,
                recall=hits / n if n else 0.0,
                f1=2 * hits / (n + predicted_K[i]) if n + predicted_K[i] else 0.0,
            )
        )
    return tuple(results)
