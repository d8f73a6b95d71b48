from __future__ import annotations

import pytest
import torch

from alexnet.errors import UserError
from alexnet.export.compare import accuracy, compare

EXPECTED = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])


def test_equal_outputs_agree():
    found = compare("probabilities", "two images", EXPECTED, [(1, EXPECTED.clone()), (2, EXPECTED + 5e-5)])
    assert found.agrees
    assert found.greatest_difference == pytest.approx(5e-5, rel=1e-2)
    assert (found.n, found.batch_sizes, found.other_first_answers, found.ties) == (2, (1, 2), 0, 0)
    found.check("net.onnx")


def test_a_difference_at_one_batch_size_is_enough():
    other = EXPECTED.clone()
    other[1, 2] += 0.001
    found = compare("probabilities", "two images", EXPECTED, [(1, EXPECTED), (7, other)])
    assert not found.agrees
    with pytest.raises(UserError, match=r"net.onnx was not written: .* up to 0.001 .* on two images"):
        found.check("net.onnx")


def test_another_first_answer_is_counted():
    other = EXPECTED[:, [1, 0, 2]]
    found = compare("probabilities", "two images", EXPECTED, [(1, other)])
    assert found.other_first_answers == 1
    assert found.greatest_difference == pytest.approx(0.5)


def test_a_tie_is_no_other_answer():
    tied = torch.tensor([[0.50001, 0.49999]])
    found = compare("probabilities", "one image", tied, [(1, tied.flip(1))])
    assert (found.agrees, found.ties, found.other_first_answers) == (True, 1, 0)


def test_what_is_not_finite_differs():
    found = compare("probabilities", "two images", EXPECTED, [(1, EXPECTED * torch.nan)])
    assert found.greatest_difference == float("inf")
    assert not found.agrees


def test_logits_are_judged_by_their_size():
    large = EXPECTED * 1000
    assert compare("logits", "two images", large, [(1, large + 0.05)], logits=True).agrees
    assert not compare("logits", "two images", EXPECTED, [(1, EXPECTED + 0.05)], logits=True).agrees


def test_accuracy():
    assert accuracy(EXPECTED, torch.tensor([0, 1])) == 0.5
    assert accuracy(EXPECTED, None) is None
