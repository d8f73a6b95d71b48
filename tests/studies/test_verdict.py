"""Intervals against a table of Student's t, and the rule on values whose verdict is plain."""

from __future__ import annotations

import math

import pytest

from alexnet.errors import UserError
from alexnet.studies.study import Comparison, Text
from alexnet.studies.verdict import judge, spread, together

T_95 = {1: 12.7062, 2: 4.3027, 4: 2.7764}  # 97.5% points of Student's t by degrees of freedom, from tables


def comparison(**options: object) -> Comparison:
    return Comparison(text=Text("", ""), figure="error", more="a", less="b", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[1.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0, 3.0]])
def test_interval_is_students(values):
    n, mean = len(values), sum(values) / len(values)
    half = T_95[n - 1] * math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
    found = spread(values)
    assert (found.mean, found.n) == (pytest.approx(mean), n)
    assert found.interval == pytest.approx((mean - half, mean + half), rel=1e-4)


def test_a_single_value_has_no_interval():
    assert spread([2.0]).interval is None
    assert judge(comparison(low=0.0), [2.0], [1.0]).verdict == "undecided"


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"low": 0.9}, "holds"),  # differences of 1, to within 0.03
        ({"high": 1.1}, "holds"),
        ({"low": 0.9, "high": 1.1}, "holds"),
        ({"low": 1.0}, "undecided"),
        ({"low": 1.1}, "does not hold here"),
        ({"high": 0.9}, "does not hold here"),
        ({"low": 1.1, "high": 1.2}, "does not hold here"),
        ({"low": 0.5, "high": 0.9}, "does not hold here"),
        ({"low": 0.9, "high": 1.0}, "undecided"),
    ],
)
def test_rule(bounds, verdict):
    assert judge(comparison(**bounds), [2.01, 5.0, 3.99], [1.0, 4.0, 3.0]).verdict == verdict


def test_differences_are_taken_seed_by_seed():
    judged = judge(comparison(low=0.0), [10.1, 20.1, 30.1], [10.0, 20.0, 30.0])
    assert judged.values == pytest.approx((0.1, 0.1, 0.1))
    assert judged.verdict == "holds"


def test_ratios_are_taken_on_logarithms():
    judged = judge(comparison(kind="ratio", low=1.0), [2.0, 8.0], [1.0, 1.0])
    assert judged.spread.mean == pytest.approx(4.0)
    half = T_95[1] * math.log(2) * math.sqrt(2) / math.sqrt(2)  # logs are 1 and 3 times ln 2: deviation ln 2 * sqrt 2
    assert judged.spread.interval == pytest.approx((4 / math.exp(half), 4 * math.exp(half)), rel=1e-4)
    with pytest.raises(ValueError, match="above 0"):
        judge(comparison(kind="ratio", low=1.0), [0.0], [1.0])


def test_a_figure_of_one_arm():
    alone = Comparison(text=Text("", ""), figure="gain", more="a", low=0.0)
    assert judge(alone, [0.1, 0.11, 0.12], None).verdict == "holds"


def test_missing_figures_leave_it_undecided():
    judged = judge(comparison(low=0.0), [2.0, 3.0, None], [1.0, 2.0, 1.0])
    assert judged.values == (1.0, 1.0)
    assert judged.verdict == "undecided"
    assert judge(comparison(low=0.0), [None], [1.0]).spread is None


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided", "does not hold here", "holds"], "does not hold here"),
        ([], "undecided"),
    ],
)
def test_a_claim_of_several_comparisons(verdicts, verdict):
    assert together(verdicts) == verdict


def test_a_comparison_without_bounds_is_refused():
    with pytest.raises(UserError, match="set low or high"):
        comparison()
