"""Intervals over seeds, and the rule by which a claim holds.

The rule, for all studies. A comparison says that a value (the difference or ratio of two arms' figures, seed by seed)
lies between two bounds, either of which may be missing. Its 95% interval is Student's t over the seeds; of ratios it
is taken on logarithms. If the whole interval lies between the bounds, the comparison *holds*; if the whole of it lies
beyond one of them, it *does not hold here*; otherwise it is *undecided*. A claim holds if all of its comparisons
hold, does not hold here if any of them does not, and is undecided otherwise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alexnet.studies.study import Comparison

Verdict = Literal["holds", "does not hold here", "undecided"]


@dataclass(frozen=True)
class Spread:
    """Mean of some values and how sure it is."""

    mean: float
    interval: tuple[float, float] | None
    """95%; None of a single value."""
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and Student's 95% interval of one or more values."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Spread(mean, None, len(values))
    half = _student_95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Spread(mean, (mean - half, mean + half), len(values))


def _student_95(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


@dataclass(frozen=True)
class Judged:
    """What became of a comparison."""

    values: tuple[float, ...]
    """One a seed that gave the figures of both arms."""
    spread: Spread | None
    """None without values. Of ratios the mean is the geometric one."""
    verdict: Verdict


def judge(comparison: Comparison, more: Sequence[float | None], less: Sequence[float | None] | None) -> Judged:
    """Apply the rule to the figures of the two arms, seed by seed; a figure is None where a run gave none."""
    others: Sequence[float | None] = [0.0] * len(more) if less is None else less
    pairs = [(a, b) for a, b in zip(more, others, strict=True) if a is not None and b is not None]
    ratio = comparison.kind == "ratio" and less is not None
    if ratio and any(a <= 0 or b <= 0 for a, b in pairs):
        raise ValueError(f"a ratio of {comparison.figure} needs figures above 0")
    values = tuple(a / b if ratio else a - b for a, b in pairs)
    if not values:
        return Judged((), None, "undecided")
    found = spread([math.log(value) for value in values] if ratio else values)
    if ratio:
        interval = found.interval and (math.exp(found.interval[0]), math.exp(found.interval[1]))
        found = Spread(math.exp(found.mean), interval, found.n)
    if found.interval is None or len(values) < len(more):
        return Judged(values, found, "undecided")
    return Judged(values, found, _place(found.interval, comparison))


def _place(interval: tuple[float, float], comparison: Comparison) -> Verdict:
    low = -math.inf if comparison.low is None else comparison.low
    high = math.inf if comparison.high is None else comparison.high
    if low < interval[0] and interval[1] < high:
        return "holds"
    if interval[1] < low or high < interval[0]:
        return "does not hold here"
    return "undecided"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim of several comparisons."""
    if "does not hold here" in verdicts:
        return "does not hold here"
    return "holds" if verdicts and all(verdict == "holds" for verdict in verdicts) else "undecided"
