"""Whether a run goes on: its loss is finite, and falls below chance level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from alexnet.config import Recipe
from alexnet.errors import TrainingFailedError

FEW_STEPS = 500
"""A network that made fewer is not stuck yet: with few images a class the loss stays for a while."""


def chance_loss(labels_N: Tensor, num_classes: int, label_smoothing: float) -> float:
    """Cross-entropy of always answering with the classes' shares."""
    shares = torch.bincount(labels_N, minlength=num_classes).double() / len(labels_N)
    target = (1 - label_smoothing) * shares + label_smoothing / num_classes
    return float(torch.special.entr(target).sum())


def check_finite(loss: float, epoch: int, recipe: Recipe) -> float:
    """`loss`, if it is finite; raises `TrainingFailedError` otherwise, in the epoch after `epoch` finished ones."""
    if not math.isfinite(loss):
        lr = recipe.optimizer.lr
        raise TrainingFailedError(
            f"the loss became {loss} in epoch {epoch + 1}: lower --optimizer.lr (now {lr:g}, "
            f"try {lr / 10:g}) or set --grad-clip-norm 1"
        )
    return loss


def check_learning(losses: Sequence[float], steps: int, chance_loss: float, recipe: Recipe) -> None:
    """Raise `TrainingFailedError` where the loss has stayed at chance level for too long.

    Args:
        losses: training loss of each finished epoch.
        steps: finished steps.
        chance_loss: cross-entropy of always answering with the classes' shares.
        recipe: says how many epochs are too long.
    """
    patience = recipe.stop_at_chance_epochs
    last = losses[-patience:]
    if steps < FEW_STEPS:
        return
    if patience and len(last) == patience and min(last) > 0.99 * chance_loss:
        raise TrainingFailedError(
            f"after {len(losses)} epochs the loss is {last[-1]:.4f}, chance level ({chance_loss:.4f}): "
            f"try another --optimizer.lr (now {recipe.optimizer.lr:g}), --model.init kaiming or "
            "--model.activation relu, or --stop-at-chance-epochs 0 to go on regardless"
        )
