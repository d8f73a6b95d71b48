"""Trained networks that come with the package: `.safetensors` files in fp16, and what is known of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alexnet.errors import UserError

DEFAULT = "small"
"""What `alexnet predict` uses where no network is named."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ShippedWeights:
    """What is known of a network that comes with the package."""

    name: str
    network: str
    classes: int
    accuracy: float
    """Top-1, as `measured` says."""
    measured: str
    """On which images, in which runs."""
    data: str
    """What it was trained on."""
    recipe: str
    use: str
    """What it is for, and what not."""
    licence: str

    @property
    def file(self) -> Path:
        """The weights."""
        return _FOLDER / f"{self.name}.safetensors"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "bytes": self.file.stat().st_size}


@cache
def _all() -> dict[str, ShippedWeights]:
    facts = json.loads((_FOLDER / "facts.json").read_text(encoding="utf-8"))
    return {name: ShippedWeights(name, **values) for name, values in facts.items()}


def names() -> tuple[str, ...]:
    """The names of all of them."""
    return tuple(_all())


def get(name: str) -> ShippedWeights:
    """Those called `name`; raises `UserError` where there are none."""
    if name not in _all():
        raise UserError(f"no weights called {name!r} come with alexnet: choose one of {', '.join(names())}")
    return _all()[name]
