"""Muon against plain numpy: the singular value decomposition, and the arithmetic of its steps."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from alexnet.training.optim import muon
from alexnet.training.optim.muon import Muon, orthogonal

Array = NDArray[np.float64]
SHAPES = [(5, 5), (20, 3), (3, 20), (32, 288), (64, 64), (1, 7), (7, 1)]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quintic(s: Array) -> Array:
    """What one iteration does to singular values (Jordan 2024)."""
    return 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])  # however small the gradients
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_against_the_singular_value_decomposition(shape, iterations, scale):
    matrix = scale * drawn(*shape)
    got = orthogonal(matrix, iterations).double().numpy()
    U, s, Vt = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(iterations):
        s = quintic(s)
    assert got.shape == shape
    assert np.linalg.norm(got - U * s @ Vt, 2) < 0.06  # bf16 keeps eight binary places


@pytest.mark.parametrize("shape", SHAPES)
def test_three_iterations_come_near_the_closest_orthogonal_matrix(shape):
    U, s, Vt = np.linalg.svd(drawn(*shape).double().numpy(), full_matrices=False)
    even = np.linspace(1, 0.1, len(s))
    assert (even / np.linalg.norm(even)).min() > 1 / 75
    got = orthogonal(torch.from_numpy(U * even @ Vt), 3).double().numpy()
    values = np.linalg.svd(got, compute_uv=False)
    assert values.min() > 0.5 - 0.05  # the bounds of the docstring, and bf16
    assert values.max() < 1.21 + 0.05
    inside = U.T @ got @ Vt.T  # near the identity, if it is near U V^T
    assert abs(inside - np.diag(inside.diagonal())).max() < 0.06
    assert np.linalg.norm(got - U @ Vt, 2) < 0.5


def test_the_bounds_of_three_iterations():
    s = quintic(quintic(quintic(np.linspace(1 / 75, 1, 100_001))))
    assert s.min() > 0.5
    assert s.max() < 1.21
    assert quintic(quintic(quintic(np.float64(1e-6)))) / 1e-6 == pytest.approx(40.87, abs=0.01)


def test_no_gradient_no_direction():
    assert orthogonal(torch.zeros(4, 3), 3).count_nonzero() == 0


def polar(matrix: Array) -> Array:
    """The closest matrix whose singular values are all 1."""
    U, _, Vt = np.linalg.svd(matrix, full_matrices=False)
    return U @ Vt


WEIGHTS = {
    "square": (5, 5),
    "wide": (3, 8),
    "tall": (9, 2),
    "convolution": (4, 3, 3, 3),
    "tall convolution": (24, 2, 3, 2),
}
OPTIONS = [
    {},
    {"nesterov": False},
    {"momentum": 0.0},
    {"momentum": 0.6, "weight_decay": 0.3},
    {"momentum": 0.6, "nesterov": False, "weight_decay": 0.3},
    {"weight_decay": 0.3, "normalize": True},
]


def after_steps(
    shape: tuple[int, ...], lrs: list[float], options: dict[str, Any], layout: torch.memory_format
) -> tuple[Array, Array]:
    """A weight after so many steps, by `Muon` and by numpy."""
    p = nn.Parameter(drawn(*shape))
    if len(shape) == 4:
        p.data = p.data.contiguous(memory_format=layout)
    optimizer = Muon([p], lr=1.0, **options)
    how = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0, **options}
    w = p.detach().double().numpy().copy()
    velocity = np.zeros_like(w)
    rows, columns = shape[0], w.size // shape[0]
    for step, lr in enumerate(lrs):
        g = drawn(*shape, seed=1 + step)
        p.grad = g.clone()
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()

        velocity = how["momentum"] * velocity + g.double().numpy()
        direction = g.double().numpy() + how["momentum"] * velocity if how["nesterov"] else velocity
        update = polar(direction.reshape(rows, columns)).reshape(shape)
        kept = np.sqrt(rows) / np.linalg.norm(w) if how.get("normalize") else 1 - lr * how["weight_decay"]
        w = kept * w - lr * np.sqrt(max(1, rows / columns)) * update
    assert p.is_contiguous(memory_format=layout if len(shape) == 4 else torch.contiguous_format)
    return p.detach().double().numpy(), w


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("lrs", [[0.3], [0.3, 0.1, 0.2]], ids=["one step", "three steps"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", WEIGHTS.values(), ids=WEIGHTS)
def test_steps_against_a_plain_loop(shape, options, lrs, layout, monkeypatch):
    """With the exact matrix in the iteration's place, so that all else must be exact too."""
    monkeypatch.setattr(muon, "orthogonal", lambda m, _iterations: torch.from_numpy(polar(m.double().numpy())))
    got, expected = after_steps(shape, lrs, options, layout)
    np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("shape", WEIGHTS.values(), ids=WEIGHTS)
def test_steps_as_they_are_taken(shape):
    """The iteration's singular values are off by 0.32 at most where they are not the smallest."""
    got, expected = after_steps(shape, [0.3], {}, torch.channels_last)
    longest = 0.3 * np.sqrt(max(1, shape[0] / np.prod(shape[1:])))
    difference = (got - expected).reshape(shape[0], -1)
    assert np.linalg.norm(difference, 2) < 0.4 * longest


def test_weights_without_a_gradient_stay():
    p, q = nn.Parameter(drawn(3, 3)), nn.Parameter(drawn(3, 3))
    before = q.detach().clone()
    optimizer = Muon([p, q], lr=0.1, weight_decay=0.5)
    p.grad = drawn(3, 3, seed=1)
    optimizer.step()
    assert torch.equal(q, before)
    assert q not in optimizer.state


def test_state_continues_to_the_bit():
    def fresh() -> tuple[nn.Parameter, Muon]:
        p = nn.Parameter(drawn(6, 2, 3, 3).contiguous(memory_format=torch.channels_last))
        return p, Muon([p], lr=0.1, weight_decay=0.1)

    def go_on(p: nn.Parameter, optimizer: Muon, steps: range) -> None:
        for step in steps:
            p.grad = drawn(6, 2, 3, 3, seed=step)
            optimizer.step()

    p, optimizer = fresh()
    go_on(p, optimizer, range(3))
    (q, continued), (r, forgetful) = fresh(), fresh()
    for other in (q, r):
        other.data.copy_(p.data)
    continued.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert continued.state[q]["momentum_buffer"].stride() == q.stride()
    for weight, its in ((p, optimizer), (q, continued), (r, forgetful)):
        go_on(weight, its, range(3, 6))
    assert torch.equal(p, q)
    assert not torch.equal(p, r)
