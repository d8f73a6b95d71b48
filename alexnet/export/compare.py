"""Whether two ways to compute a network agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from alexnet.errors import UserError

PROBABILITY_TOLERANCE = 1e-4
"""Of a probability; fp32 sums in another order differ by some 1e-6."""
LOGIT_TOLERANCE = 1e-4
"""Of a logit, times the largest there is, at least 1."""


@dataclass(frozen=True)
class Comparison:
    """Outputs of an export beside the package's own."""

    what: str
    """Which outputs."""
    images: str
    n: int
    batch_sizes: tuple[int, ...]
    greatest_difference: float
    """Of any output of any image at any batch size."""
    tolerance: float
    other_first_answers: int
    """Images whose likeliest class is another one, ties left out."""
    ties: int
    """Images whose two likeliest classes the package itself cannot tell apart within twice the tolerance, and which
    come out the other way."""

    @property
    def agrees(self) -> bool:
        """Whether all outputs lie within the tolerance, and all first answers are the same."""
        return self.greatest_difference <= self.tolerance and self.other_first_answers == 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "batch_sizes": list(self.batch_sizes), "agrees": self.agrees}

    def check(self, target: str) -> None:
        """Raise `UserError` where the two differ."""
        if not self.agrees:
            raise UserError(
                f"{target} was not written: its {self.what} differ from this package's by up to "
                f"{self.greatest_difference:.3g} (allowed: {self.tolerance:.3g}), and "
                f"{self.other_first_answers} of {self.n} first answers are others, on {self.images}"
            )


def compare(
    what: str,
    images: str,
    expected_NK: Tensor,
    found: Sequence[tuple[int, Tensor]],
    *,
    logits: bool = False,
) -> Comparison:
    """Compare outputs.

    Args:
        what: probabilities or logits, for people.
        images: which images.
        expected_NK: of the package.
        found: for each batch size, outputs [N, K] in the same order.
        logits: whether these are logits, whose tolerance grows with them.
    """
    scale = max(1.0, float(expected_NK.abs().max())) if logits else 1.0
    tolerance = LOGIT_TOLERANCE * scale if logits else PROBABILITY_TOLERANCE
    greatest, other, ties = 0.0, 0, 0
    best_two_N2 = expected_NK.topk(min(2, expected_NK.shape[1]), dim=1).values
    is_tie_N = best_two_N2[:, 0] - best_two_N2[:, -1] <= 2 * tolerance
    for _, found_NK in found:
        difference = (found_NK.double() - expected_NK.double()).abs().max()
        greatest = max(greatest, float(difference) if bool(torch.isfinite(difference)) else float("inf"))
        differs_N = found_NK.argmax(1) != expected_NK.argmax(1)
        other = max(other, int((differs_N & ~is_tie_N).sum()))
        ties = max(ties, int((differs_N & is_tie_N).sum()))
    sizes = tuple(size for size, _ in found)
    return Comparison(what, images, len(expected_NK), sizes, greatest, tolerance, other, ties)


def accuracy(outputs_NK: Tensor, labels_N: Tensor | None) -> float | None:
    """Top-1 in 0..1; None where there are no labels."""
    return None if labels_N is None else float((outputs_NK.argmax(1) == labels_N).double().mean())
