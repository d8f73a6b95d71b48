"""The optimizers of a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from alexnet.config import OptimizerConfig
from alexnet.training.optim.eager import EagerOptimizer
from alexnet.training.optim.muon import Muon
from alexnet.training.optim.sgd_2012 import Sgd2012

Optimizers = list[torch.optim.Optimizer]


class _SGD(EagerOptimizer, torch.optim.SGD):
    """torch's SGD, to the bit, with a step that leaves the compiler alone.

    Velocities are zero before the first step. torch's fused step would make them within it, and leave them as the
    memory happened to be where it skips that step because a gradient is not finite, which is how fp16 begins.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "a closure is not supported"
        for group in self.param_groups:
            params: list[Tensor] = []
            gradients: list[Tensor] = []
            buffers: list[Tensor | None] = []
            self._init_group(group, params, gradients, buffers)  # type: ignore[no-untyped-call]
            if group["momentum"] != 0:
                buffers = [torch.zeros_like(p) if b is None else b for p, b in zip(params, buffers, strict=True)]
            sgd(
                params,
                gradients,
                buffers,
                fused=group["fused"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
                **{name: group[name] for name in ("lr", "momentum", "nesterov", "weight_decay", "dampening")},
                maximize=False,
            )
            if group["momentum"] != 0:
                for p, buffer in zip(params, buffers, strict=True):
                    self.state[p]["momentum_buffer"] = buffer


class _AdamW(EagerOptimizer, torch.optim.AdamW):
    """torch's AdamW, with a step that leaves the compiler alone."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "a closure is not supported"
        inspect.unwrap(torch.optim.Adam.step)(self)


def build_optimizers(model: nn.Module, config: OptimizerConfig) -> Optimizers:
    """The optimiser of `config` over all of `model`'s parameters; two for muon, which takes matrices only.

    Weight decay is applied to convolution and dense weights, and to biases only where `config.decay_biases`.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if config.name == "muon":
        # Muon is for the weights of hidden layers; the first and the last layer and biases differ (Jordan 2024).
        weights = [name for name, p in named if p.ndim > 1]
        hidden = set(weights[1:-1])
        rest = _sgd([pair for pair in named if pair[0] not in hidden], _others(config), momentum=0.9, nesterov=True)
        return [_muon([p for name, p in named if name in hidden], config), rest] if hidden else [rest]
    if config.name == "adamw":
        return [_adamw(named, config)]
    momentum = 0.9 if config.momentum is None else config.momentum
    if config.name == "sgd_2012":
        return [_sgd_2012(named, config, momentum)]
    nesterov = momentum > 0 if config.nesterov is None else config.nesterov
    return [_sgd(named, config, momentum, nesterov)]


def _others(config: OptimizerConfig) -> OptimizerConfig:
    """Rate and decay of what muon leaves to sgd."""
    lr = config.lr if config.other_lr is None else config.other_lr
    decay = config.weight_decay if config.other_weight_decay is None else config.other_weight_decay
    return replace(config, lr=lr, weight_decay=decay)


def _groups(named: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig) -> list[dict[str, Any]]:
    decayed = [p for _, p in named if p.ndim > 1 or config.decay_biases]
    free = [p for _, p in named if not (p.ndim > 1 or config.decay_biases)]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _sgd(
    named: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig, momentum: float, nesterov: bool
) -> torch.optim.Optimizer:
    return _SGD(_groups(named, config), lr=config.lr, momentum=momentum, nesterov=nesterov, fused=_fusible(named))


def _sgd_2012(
    named: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig, momentum: float
) -> torch.optim.Optimizer:
    weights = [(name, p) for name, p in named if p.ndim > 1]
    biases = [(name, p) for name, p in named if p.ndim <= 1]
    bias_lr = config.lr if config.bias_lr is None else config.bias_lr
    groups = [group | {"lr": config.lr} for group in _groups(weights, config)]
    groups += [group | {"lr": bias_lr} for group in _groups(biases, config)]
    return Sgd2012(groups, lr=config.lr, momentum=momentum)


def _adamw(named: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig) -> torch.optim.Optimizer:
    return _AdamW(_groups(named, config), lr=config.lr, betas=config.betas or (0.9, 0.999), fused=_fusible(named))


def _muon(weights: Sequence[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    return Muon(
        weights,
        lr=config.lr,
        weight_decay=config.weight_decay,
        normalize=bool(config.normalize),
        momentum=0.9 if config.momentum is None else config.momentum,
        nesterov=True if config.nesterov is None else config.nesterov,
    )


def _fusible(named: Sequence[tuple[str, nn.Parameter]]) -> bool:
    return all(p.device.type in ("cpu", "cuda", "mps") for _, p in named)


def learns(optimizer: torch.optim.Optimizer) -> bool:
    """Whether any of its parameters is open to learning."""
    return any(p.requires_grad for group in optimizer.param_groups for p in group["params"])
