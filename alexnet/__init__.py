"""AlexNet, whole: the 2012 network and its small relatives, trained, evaluated and explained.

    run = alexnet.train(alexnet.recipes.tiny_cifar10(), data="cifar10")
    alexnet.load(run).predict("cat.jpg")

Names are imported when first used, so `import alexnet` costs nothing and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from alexnet._version import __version__ as __version__

if TYPE_CHECKING:
    from alexnet import data, explain, models, recipes, weights
    from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
    from alexnet.data import pack  # type: ignore[no-redef]
    from alexnet.errors import UserError
    from alexnet.evaluation import Classifier, Ensemble, Evaluation, Prediction, evaluate, load  # type: ignore[no-redef]
    from alexnet.training import Observer, resume, train

_HOMES = {
    "AugmentConfig": "alexnet.config",
    "Classifier": "alexnet.evaluation",
    "Ensemble": "alexnet.evaluation",
    "Evaluation": "alexnet.evaluation",
    "ModelConfig": "alexnet.config",
    "Observer": "alexnet.training",
    "OptimizerConfig": "alexnet.config",
    "Prediction": "alexnet.evaluation",
    "Recipe": "alexnet.config",
    "ScheduleConfig": "alexnet.config",
    "UserError": "alexnet.errors",
    "evaluate": "alexnet.evaluation",
    "load": "alexnet.evaluation",
    "pack": "alexnet.data",
    "resume": "alexnet.training",
    "train": "alexnet.training",
}

__all__ = [
    "AugmentConfig",
    "Classifier",
    "Ensemble",
    "Evaluation",
    "ModelConfig",
    "Observer",
    "OptimizerConfig",
    "Prediction",
    "Recipe",
    "ScheduleConfig",
    "UserError",
    "data",
    "evaluate",
    "explain",
    "load",
    "models",
    "pack",
    "recipes",
    "resume",
    "train",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"alexnet.{name}")
    raise AttributeError(f"module 'alexnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
