"""What several commands take and return."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from tyro.conf import arg

_T = TypeVar("_T")

OK, SOME_FAILED = 0, 1
"""Exit statuses."""

OptionalPath = Annotated[Path | None, arg(metavar="PATH")]
Streaming = Literal["auto", "always", "never"]


def recipe_subcommands(known: Mapping[str, Any], summaries: Mapping[str, str]) -> Any:
    """The type of an argument that is one of `known` recipes, a subcommand each, whose fields are flags.

    A recipe's name is none of its flags. What is parsed is passed to `plain`.
    """
    defaults = {name: flagged(recipe) for name, recipe in known.items()}
    return tyro.extras.subcommand_type_from_defaults(defaults, dict(summaries), prefix_names=False)


def flagged(recipe: Any) -> Any:
    """`recipe` in the form that `recipe_subcommands` parses, for a default."""
    kind: Any = type(recipe)
    return _flagged(kind)(**_fields(recipe))


def plain(recipe: _T) -> _T:
    """The recipe that was parsed, as the library's own class."""
    kind = next(base for base in type(recipe).__mro__ if not hasattr(base, "_is_flagged"))
    made: _T = kind(**_fields(recipe))
    return made


@functools.cache
def _flagged(kind: Any) -> Any:
    """The dataclass `kind` without a flag for its name."""
    fields = [("name", tyro.conf.Suppress[str])]
    made = dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), namespace={"_is_flagged": True}, frozen=True, kw_only=True
    )
    made.__doc__ = kind.__doc__
    return made


def _fields(recipe: Any) -> dict[str, Any]:
    return {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
