"""Muon: momentum whose matrices are made orthogonal before the step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from alexnet.training.optim.eager import EagerOptimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, chosen for speed by Jordan 2024


class Muon(EagerOptimizer):
    """Momentum SGD whose step of each weight is brought near the closest orthogonal matrix (Jordan 2024).

    All directions a layer can learn in then move equally far, however small their gradients. A convolution's weight
    [O, C, H, W] counts as a matrix [O, C * H * W]. Tall matrices take a longer step, by the root of O / (C * H * W).

    Args:
        params: weights of two dimensions or more.
        lr: length of a step, measured by the matrix's largest singular value.
        weight_decay: decoupled: each step first scales the weights by 1 - lr * weight_decay.
        normalize: instead, each step first scales a weight to a norm of sqrt(O), rows of length 1 in the root mean
            square, so that lr is the share of the weight that a step renews. Only for layers whose outputs are
            normed, which the length of their weight does not matter to.
        momentum: share of the last direction that is kept.
        nesterov: look ahead along the momentum.
        iterations: of the orthogonalisation; few are enough.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float = 0.0,
        normalize: bool = False,
        momentum: float = 0.9,
        nesterov: bool = True,
        iterations: int = 3,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "normalize": normalize,
            "momentum": momentum,
            "nesterov": nesterov,
            "iterations": iterations,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take one step by the gradients at hand."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                velocity = state["momentum_buffer"]
                velocity.mul_(group["momentum"]).add_(p.grad)
                direction = p.grad.add(velocity, alpha=group["momentum"]) if group["nesterov"] else velocity
                matrix = direction.flatten(1)
                rows, columns = matrix.shape
                update = orthogonal(matrix, group["iterations"]).view_as(direction).to(p.dtype)
                p.mul_(rows**0.5 / p.norm() if group["normalize"] else 1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor, iterations: int) -> Tensor:
    """A matrix of the same singular vectors whose singular values lie near 1, in bf16.

    The Newton-Schulz iteration takes matrix products alone. Three iterations bring singular values of a 75th of the
    matrix's Frobenius norm and more between 0.5 and 1.21; smaller ones grow about fortyfold, against that norm.
    """
    a, b, c = _COEFFICIENTS
    X = matrix.bfloat16()
    tall = X.shape[0] > X.shape[1]
    if tall:
        X = X.T
    X = X / (X.norm() + 1e-7)
    for _ in range(iterations):
        A = X @ X.T
        X = torch.addmm(X, torch.addmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X.T if tall else X
