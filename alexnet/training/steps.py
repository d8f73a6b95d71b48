"""How an epoch is divided into steps and a step into parts, and what the recipe asks of an epoch."""

from __future__ import annotations

import math

from alexnet.config import Recipe


def plan_steps(n_images: int, batch_size: int, accumulate_steps: int, smallest: int) -> list[list[tuple[int, int]]]:
    """First and last image (exclusive) of each part of each step of an epoch.

    A last batch or part of fewer than `smallest` images joins the one before: batch norm needs two.
    """
    part_size = math.ceil(batch_size / accumulate_steps)
    steps = _cut(0, n_images, batch_size, smallest)
    return [_cut(start, stop, part_size, smallest) for start, stop in steps]


def _cut(start: int, stop: int, size: int, smallest: int) -> list[tuple[int, int]]:
    """`start` to `stop` in pieces of `size`, the last one shorter, or longer by fewer than `smallest`."""
    starts = list(range(start, stop, size))
    if len(starts) > 1 and stop - starts[-1] < smallest:
        starts.pop()
    return list(zip(starts, [*starts[1:], stop], strict=True))


def train_px(recipe: Recipe, epoch: int) -> int | None:
    """Side of the training images after `epoch` finished epochs; None: the network's."""
    sides = recipe.train_px
    return sides[epoch * len(sides) // recipe.epochs] if sides else None


def is_frozen(recipe: Recipe, epoch: int) -> bool:
    """Whether the layers that the recipe freezes are so after `epoch` finished epochs."""
    opens = recipe.freeze_epochs
    return opens is None or epoch < opens
