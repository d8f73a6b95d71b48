"""Optimisers, learning-rate schedules and the moving average of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from alexnet.config import OptimizerConfig, Recipe
from alexnet.training.muon import Muon
from alexnet.training.sgd_2012 import Sgd2012

Optimizers = list[torch.optim.Optimizer]


def _spare_the_compiler() -> None:
    """Keep torch's optimizers from loading its compiler, 1.5 s and 150 MB that a run has no use for.

    Four of their methods do so when first called, to exempt themselves from compilation; this says that they are
    exempt already. `step` does so too, so sgd has its own. Nothing here compiles an optimizer.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None:
            method.__dict__.setdefault("__dynamo_disable", method)


_spare_the_compiler()


class _SGD(torch.optim.SGD):
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
    return torch.optim.AdamW(
        _groups(named, config), lr=config.lr, betas=config.betas or (0.9, 0.999), fused=_fusible(named)
    )


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


def set_lr(optimizers: Optimizers, scale: float) -> None:
    """Use `scale` times each group's peak rate for the coming step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = scale * group.setdefault("peak_lr", group["lr"])


def lr_scale(recipe: Recipe, epoch: float, val_errors: Sequence[float]) -> float:
    """The learning rate at a point of the run, as a share of its peak.

    Args:
        recipe: its schedule and its epochs.
        epoch: epochs done, fractional within one; 0 at the first step.
        val_errors: validation error after each finished epoch, 1 - top1; only `plateau` looks at them.
    """
    schedule, total = recipe.schedule, recipe.epochs
    warmup = schedule.warmup_epochs
    if warmup is None:
        warmup = total / 4 if schedule.name == "one_cycle" else 0.0
    if epoch < warmup:
        return epoch / warmup
    rest = (epoch - warmup) / (total - warmup) if total > warmup else 1.0  # 0..1 after the warm-up
    factor = 0.1 if schedule.factor is None else schedule.factor
    scale = 1.0
    if schedule.name == "one_cycle":
        scale = 1 - rest
    elif schedule.name == "cosine":
        scale = 0.5 * (1 + math.cos(math.pi * rest))
    elif schedule.name == "step":
        after = schedule.step_epochs or (total / 2, total * 3 / 4)
        scale = factor ** sum(epoch >= boundary for boundary in after)
    elif schedule.name == "plateau":
        patience = schedule.patience_epochs or 5
        most = 3 if schedule.max_drops is None else schedule.max_drops
        scale = factor ** plateau_drops(val_errors, patience, most)
    return scale


def plateau_drops(val_errors: Sequence[float], patience_epochs: int, max_drops: int) -> int:
    """How often the rate has dropped: once each time the error did not improve for `patience_epochs`."""
    best, waited, drops = math.inf, 0, 0
    for error in val_errors:
        if error < best:
            best, waited = error, 0
            continue
        waited += 1
        if waited == patience_epochs:
            drops, waited = drops + 1, 0
    return min(drops, max_drops)


class WeightAverage:
    """Exponential moving average of a network's parameters and buffers.

    Early on it remembers less, min(decay, (1 + step) / (10 + step)), so that the first weights are forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._source = [t.detach() for t in model.state_dict().values() if t.is_floating_point()]
        self._decay = decay
        self.average = [t.clone() for t in self._source]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps (1 for the first)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, self._source, 1 - decay)

    def swap(self) -> None:
        """Exchange the network's weights with the average; a second call undoes the first."""
        kept = [t.clone() for t in self._source]
        torch._foreach_copy_(self._source, self.average)
        torch._foreach_copy_(self.average, kept)

    def load(self, average: Sequence[Tensor]) -> None:
        """Continue from an average kept before."""
        torch._foreach_copy_(self.average, list(average))
