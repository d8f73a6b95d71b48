"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from alexnet.config import Recipe


def set_lr(optimizers: Sequence[torch.optim.Optimizer], scale: float) -> None:
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
