"""Trained networks in other forms, each proven equal before it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alexnet.export.formats import Exported, export

__all__ = ["Exported", "export"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported when first used, so that the room's other parts do not wait for it
        from importlib import import_module

        return getattr(import_module("alexnet.export.formats"), name)
    raise AttributeError(f"module 'alexnet.export' has no attribute {name!r}")
