"""The pipeline before AlexNet: images, features, classifier; from a name and images to a run folder.

    run = alexnet.baseline.fit(alexnet.baseline.get("hog_color_linear"), data="cifar10")

Recipes are imported without torch; `fit` when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alexnet.baseline.recipe import BaselineRecipe, get, names, summary

if TYPE_CHECKING:
    from alexnet.baseline.run import Observer, fit

__all__ = ["BaselineRecipe", "Observer", "fit", "get", "names", "summary"]


def __getattr__(name: str) -> Any:
    if name in ("Observer", "fit"):
        from alexnet.baseline import run

        return getattr(run, name)
    raise AttributeError(f"module 'alexnet.baseline' has no attribute {name!r}")
