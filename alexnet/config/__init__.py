"""What a run is: frozen dataclasses of plain values.

Nothing here imports torch or numpy, so the command line can read every recipe without waiting for them. A value that
cannot be used raises `UserError` when the object is made, with the fix in the message; nothing is ignored silently.
"""

from alexnet.config.augment import AugmentConfig
from alexnet.config.choices import (
    Activation,
    Balance,
    ColorSource,
    CropBorder,
    Fit,
    Flip,
    Freeze,
    Init,
    MiddleLayer,
    ModelName,
    Norm,
    OptimizerName,
    Precision,
    ScheduleName,
    Towers,
    Variant,
)
from alexnet.config.model import ModelConfig
from alexnet.config.optimizer import OptimizerConfig, ScheduleConfig
from alexnet.config.recipe import HANG_TIMEOUT_S, Recipe

__all__ = [
    "HANG_TIMEOUT_S",
    "Activation",
    "AugmentConfig",
    "Balance",
    "ColorSource",
    "CropBorder",
    "Fit",
    "Flip",
    "Freeze",
    "Init",
    "MiddleLayer",
    "ModelConfig",
    "ModelName",
    "Norm",
    "OptimizerConfig",
    "OptimizerName",
    "Precision",
    "Recipe",
    "ScheduleConfig",
    "ScheduleName",
    "Towers",
    "Variant",
]
