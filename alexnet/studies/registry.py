"""The studies by name, in the order of the story."""

from __future__ import annotations

import importlib
import typing
from dataclasses import replace
from typing import Literal

from alexnet.errors import UserError
from alexnet.studies.study import Study

StudyName = Literal[
    "features",
    "data",
    "activation",
    "saturation",
    "dropout",
    "augmentation",
    "weight_decay",
    "normalisation",
    "pooling",
    "depth",
    "towers",
    "hierarchy",
    "views",
    "cost",
]
NAMES: tuple[StudyName, ...] = typing.get_args(StudyName)


def get(name: str, *, quick: bool = False) -> Study:
    """The study `name`; with `quick` a preview of it in three minutes on two cores, with one seed.

    Raises:
        UserError: there is no such study.
    """
    if name not in NAMES:
        raise UserError(f"unknown study {name!r}: choose one of {', '.join(NAMES)}")
    study: Study = importlib.import_module(f"alexnet.studies.claims.{name}").study(quick)
    return replace(study, quick=quick)
