"""What the studies of training-set sizes share."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import ModelConfig, Recipe
from alexnet.studies.claims._common import base

EPOCHS = {500: 60, 2000: 60, 8000: 30, 45_000: 10}
"""Passes over so many training images: fewer of more, as each step costs the same."""
QUICK_EPOCHS = {200: 5, 1000: 5}


def network(images: int, epochs: int) -> Recipe:
    """TinyAlexNet with crops and flips on so many training images; the test split stays closed."""
    recipe = base(ModelConfig(name="tiny_alexnet", dropout=0.0), images, epochs)
    return replace(recipe, open_test=False, batch_size=min(128, max(16, images // 40)))
