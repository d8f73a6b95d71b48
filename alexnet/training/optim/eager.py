"""The base of our optimizers: torch's, without its compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _eager(name: str) -> Callable[..., Any]:
    """The method of torch's Optimizer below its decorator, which imports the compiler when it is first called."""
    method = getattr(torch.optim.Optimizer, name)
    plain: Callable[..., Any] = getattr(method, "__wrapped__", method)
    return plain


class EagerOptimizer(torch.optim.Optimizer):
    """An optimizer that never loads torch's compiler, which takes 1.5 s and 150 MB that a run has no use for.

    Four methods of `torch.optim.Optimizer` load it when first called, to exempt themselves from compilation. Here
    they are called directly; no optimizer of ours is compiled.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's."""
        _eager("add_param_group")(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's."""
        _eager("zero_grad")(self, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """As torch's."""
        state: dict[str, Any] = _eager("state_dict")(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's."""
        _eager("load_state_dict")(self, state_dict)
