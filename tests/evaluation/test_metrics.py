"""Metrics against scikit-learn, independent loops and published values."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor

from alexnet.evaluation.metrics import Evaluation, Metrics, wilson_interval


def evaluate(scores_NK: Tensor, labels_N: Tensor, batches: list[int] | None = None) -> Evaluation:
    K = scores_NK.shape[1]
    metrics = Metrics(K)
    sizes = batches or [len(labels_N)]
    for scores, labels in zip(scores_NK.split(sizes), labels_N.split(sizes), strict=True):
        metrics.update(scores, labels)
    return metrics.result([f"class {i}" for i in range(K)])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    K, n, seed = draw(st.integers(2, 12)), draw(st.integers(1, 60)), draw(st.integers(0, 2**32 - 1))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0]))  # more, and scikit-learn clips its logarithms
    generator = torch.Generator().manual_seed(seed)
    scores_NK = torch.randn(n, K, generator=generator, dtype=torch.float64) * scale
    # Labels from part of the classes only, so that some have neither images nor predictions.
    labels_N = torch.randint(0, draw(st.integers(1, K)), (n,), generator=generator)
    return scores_NK, labels_N


@given(cases())
@settings(deadline=None)
def test_agrees_with_scikit_learn(case: tuple[Tensor, Tensor]) -> None:
    scores_NK, labels_N = case
    K, every = scores_NK.shape[1], range(scores_NK.shape[1])
    got = evaluate(scores_NK, labels_N)
    truth, predicted = labels_N.numpy(), scores_NK.argmax(1).numpy()

    assert got.n == len(truth)
    assert got.top1 == pytest.approx(reference.accuracy_score(truth, predicted))
    assert got.loss == pytest.approx(reference.log_loss(truth, scores_NK.softmax(1), labels=every))
    assert got.confusion == tuple(map(tuple, reference.confusion_matrix(truth, predicted, labels=every)))
    precision, recall, f1, n = reference.precision_recall_fscore_support(
        truth, predicted, labels=every, zero_division=0
    )
    assert [c.precision for c in got.classes] == pytest.approx(precision)
    assert [c.recall for c in got.classes] == pytest.approx(recall)
    assert [c.f1 for c in got.classes] == pytest.approx(f1)
    assert [c.n for c in got.classes] == list(n)
    if K > 5:
        top5 = reference.top_k_accuracy_score(truth, scores_NK.numpy(), k=5, labels=every)
        assert (got.top5, got.k) == (pytest.approx(top5), 5)
    else:
        assert (got.top5, got.k) == (1.0, K)


@given(cases())
@settings(deadline=None)
def test_calibration_error_agrees_with_a_plain_loop(case: tuple[Tensor, Tensor]) -> None:
    scores_NK, labels_N = case
    p_NK = scores_NK.softmax(1).numpy()
    confidence_N, hit_N = p_NK.max(1), p_NK.argmax(1) == labels_N.numpy()
    edges = np.arange(16) / 15
    assume(np.abs(confidence_N[:, None] - edges[1:-1]).min() > 1e-9)  # rounding decides the bin there
    ece = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence_N > low) & (confidence_N <= high)
        if inside.any():
            ece += inside.mean() * abs(confidence_N[inside].mean() - hit_N[inside].mean())
    got = evaluate(scores_NK, labels_N)
    assert got.ece == pytest.approx(ece, abs=1e-9)
    assert sum(b.n for b in got.bins) == got.n
    assert sum(b.n * b.accuracy for b in got.bins if b.accuracy is not None) == pytest.approx(got.top1 * got.n)


@given(cases(), st.data())
@settings(deadline=None)
def test_uneven_batches_and_merging_equal_one_batch(case: tuple[Tensor, Tensor], data: st.DataObject) -> None:
    scores_NK, labels_N = case
    cut = data.draw(st.integers(0, len(labels_N)))
    whole = evaluate(scores_NK, labels_N)
    assert_same(evaluate(scores_NK, labels_N, [cut, len(labels_N) - cut]), whole)

    first, second, names = Metrics(scores_NK.shape[1]), Metrics(scores_NK.shape[1]), [c.name for c in whole.classes]
    first.update(scores_NK[:cut], labels_N[:cut])
    second.update(scores_NK[cut:], labels_N[cut:])
    first.merge(second)
    first.merge(Metrics(scores_NK.shape[1]))
    assert_same(first.result(names), whole)


def assert_same(a: Evaluation, b: Evaluation) -> None:
    """Counts to the digit, sums of floats to rounding."""
    assert (a.confusion, a.top5, a.top1_interval, a.classes) == (b.confusion, b.top5, b.top1_interval, b.classes)
    assert (a.loss, a.ece) == (pytest.approx(b.loss), pytest.approx(b.ece, abs=1e-12))


def test_hand_worked_example() -> None:
    p_NK = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
    got = evaluate(p_NK.log(), torch.tensor([0, 1, 1, 0]))
    assert got.confusion == ((1, 1), (1, 1))
    assert (got.top1, got.top5, got.k) == (0.5, 1.0, 2)
    assert got.loss == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.7) + math.log(0.2)) / 4)
    # Bins of width 1/15: 0.9 twice (accuracy 0.5), 0.7 alone (right), 0.8 alone (wrong).
    assert got.ece == pytest.approx((2 * 0.4 + 0.3 + 0.8) / 4)


def test_log_softmax_leaves_log_probabilities_as_they_are() -> None:
    scores_NK = torch.randn(50, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels_N = torch.arange(50) % 7
    assert_same(evaluate(scores_NK, labels_N), evaluate(scores_NK.log_softmax(1), labels_N))


def test_ties_go_to_the_lower_index_as_in_argmax() -> None:
    scores_NK = torch.zeros(7, 7)
    got = evaluate(scores_NK, torch.arange(7))
    assert got.confusion == ((1,) + (0,) * 6,) * 7  # all called class 0
    assert got.top1 == pytest.approx(1 / 7)
    assert got.top5 == pytest.approx(5 / 7)


def test_short_last_batch_weighs_what_it_should() -> None:
    scores_NK = torch.tensor([[1.0, 0.0]] * 4)
    got = evaluate(scores_NK, torch.tensor([0, 0, 0, 1]), batches=[3, 1])
    assert got.top1 == 0.75


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_scores_are_summed_in_double_precision(dtype: torch.dtype) -> None:
    scores_NK = torch.tensor([[2.0, 0.0]], dtype=dtype).expand(10_000, 2)
    got = evaluate(scores_NK, torch.zeros(10_000, dtype=torch.int64), batches=[128] * 78 + [16])
    assert got.loss == pytest.approx(math.log1p(math.exp(-2)), rel=1e-12)


def test_update_may_run_in_inference_mode_and_result_outside() -> None:
    metrics = Metrics(3)
    with torch.inference_mode():
        metrics.update(torch.eye(3), torch.arange(3))
    metrics.update(torch.eye(3, requires_grad=True), torch.arange(3))
    assert metrics.result("abc").n == 6


def test_update_never_waits_for_the_device() -> None:
    metrics = Metrics(7)
    # Tensors on the meta device hold no values: reading one, which is what waiting is for, raises.
    metrics.update(torch.zeros(4, 7, device="meta"), torch.zeros(4, dtype=torch.int64, device="meta"))


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (50, 100, 0.4038, 0.5962),  # Brown, Cai and DasGupta 2001 give the formula; values by hand from it
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (7147, 10_000, 0.7058, 0.7235),
    ],
)
def test_wilson_interval(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


def test_class_without_images_or_predictions_scores_zero() -> None:
    got = evaluate(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([1]))
    assert [(c.n, c.precision, c.recall, c.f1) for c in got.classes] == [
        (0, 0.0, 0.0, 0.0),  # called once, wrongly
        (1, 0.0, 0.0, 0.0),
        (0, 0.0, 0.0, 0.0),
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_make_no_probabilities_raise(bad: float) -> None:
    scores_NK = torch.zeros(4, 3)
    scores_NK[2, 1] = bad
    with pytest.raises(ValueError, match=r"scores of 1 of 4 images are NaN or infinite.*diverged"):
        evaluate(scores_NK, torch.zeros(4, dtype=torch.int64))


def test_impossible_truth_gives_an_infinite_loss_and_valid_json() -> None:
    got = evaluate(torch.tensor([[0.0, -math.inf]]), torch.tensor([1]))
    assert got.loss == math.inf
    assert got.to_json()["loss"] is None


def test_certain_scores_have_a_loss_of_plain_zero() -> None:
    got = evaluate(torch.tensor([[0.0, -math.inf]]), torch.tensor([0]))
    assert str(got.loss) == "0.0"


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_raise(label: int) -> None:
    with pytest.raises(ValueError, match=r"1 of 2 labels lie outside 0\.\.2"):
        evaluate(torch.zeros(2, 3), torch.tensor([0, label]))


def test_misuse_is_refused() -> None:
    metrics = Metrics(3)
    with pytest.raises(ValueError, match="no images"):
        metrics.result("abc")
    metrics.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="no images"):
        metrics.result("abc")
    with pytest.raises(ValueError, match=r"expected \[N, 3\]"):
        metrics.update(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        metrics.result("ab")
    with pytest.raises(ValueError, match="merge"):
        metrics.merge(Metrics(4))
    with pytest.raises(ValueError, match="at least one class"):
        Metrics(0)


def test_json_has_the_promised_keys_and_plain_values() -> None:
    plain = evaluate(torch.eye(3), torch.arange(3)).to_json()
    assert list(plain) == ["n", "top1", "top5", "loss", "ece", "top1_interval", "classes", "confusion"]
    assert plain["classes"][0] == {"name": "class 0", "n": 1, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert plain["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_an_evaluation_shows_itself_in_a_notebook():
    metrics = Metrics(num_classes=2)
    metrics.update(torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), torch.tensor([0, 1, 1, 1]))
    shown = metrics.result(["cat", "<dog>"])._repr_html_()
    assert "<td>top-1</td><td>0.7500</td>" in shown
    assert "<td>&lt;dog&gt;</td><td>3</td><td>1.000</td><td>0.667</td><td>0.800</td>" in shown
