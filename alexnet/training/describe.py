"""What recipe.json says of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alexnet import weights
from alexnet.card import ModelCard
from alexnet.config import Recipe
from alexnet.data import Dataset
from alexnet.plain import to_dict
from alexnet.training.trainer import Trainer
from alexnet.weights import PretrainedWeights


def describe_rest(trainer: Trainer, card: ModelCard, pretrained: PretrainedWeights | None) -> dict[str, Any]:
    """What recipe.json says beside `describe`, of runs that torchrun starts, begin trained, or shift colours."""
    found: dict[str, Any] = {}
    if trainer.world.launch is not None:
        found["launch"] = trainer.world.launch
    if card.model == weights.CUSTOM:
        found["module"] = card.options["class"]
    if pretrained is not None:
        keeps_head = pretrained.fits_head(trainer.dataset.class_names)
        found["pretrained"] = {**pretrained.to_json(), "last_layer": "kept" if keeps_head else "new"}
    if trainer.colors is not None:
        found["colors"] = trainer.colors.to_json()
    return found


def describe(
    recipe: Recipe,
    dataset: Dataset,
    card: ModelCard,
    root: str | os.PathLike[str] | None,
    environment: dict[str, object],
    fingerprint: str,
) -> dict[str, Any]:
    """The values of recipe.json."""
    return {
        "recipe": to_dict(recipe),
        "data": {
            "root": None if root is None else str(Path(root).resolve()),
            "class_names": list(dataset.class_names),
            "n_train": len(dataset.train),
            "n_val": 0 if dataset.val is None else len(dataset.val),
            "fingerprint": fingerprint,
            "origin": dataset.origin,
        },
        "preprocessing": to_dict(card.preprocessing),
        "environment": environment,
    }
