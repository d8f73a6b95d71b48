"""The paper's update rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from alexnet.training.optim.eager import EagerOptimizer


class Sgd2012(EagerOptimizer):
    """Momentum whose velocity holds the learning rate and the weight decay (Krizhevsky 2012, section 5).

        v := momentum * v - weight_decay * lr * w - lr * gradient
        w := w + v

    torch's SGD keeps a sum of gradients alone and multiplies it by the rate of the day: `w := w - lr * b`. At one
    rate the two are the same. When the rate drops, torch's step shrinks at once, while this velocity decays to the
    new pace within some tens of steps.

    Args:
        params: parameters, or groups of them.
        lr: learning rate, 0 or more.
        momentum: share of the velocity that is kept, in [0, 1).
        weight_decay: 0 or more.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take one step by the gradients at hand."""
        assert closure is None, "Sgd2012 takes no closure"
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            lr, velocities = group["lr"], [self._velocity(p) for p in weights]
            torch._foreach_mul_(velocities, group["momentum"])
            if group["weight_decay"] != 0:
                torch._foreach_add_(velocities, weights, alpha=-group["weight_decay"] * lr)
            torch._foreach_add_(velocities, [p.grad for p in weights], alpha=-lr)
            torch._foreach_add_(weights, velocities)

    def _velocity(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if not state:
            state["velocity"] = torch.zeros_like(p)
        velocity: Tensor = state["velocity"]
        return velocity
