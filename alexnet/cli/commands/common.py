"""What several commands take and return."""

from __future__ import annotations

import dataclasses
import functools
import typing
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
    return _as(_flagged(kind, is_recipe=True), recipe, flagged_part=True)


def plain(recipe: _T) -> _T:
    """The recipe that was parsed, as the library's own class; raises `UserError` for values it cannot have."""
    made: _T = _as(_plain(type(recipe)), recipe, flagged_part=False)
    return made


def _as(kind: Any, config: Any, *, flagged_part: bool) -> Any:
    """`config` as a `kind`, and the configurations in it likewise."""
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            own: Any = type(value)
            part = _flagged(own, is_recipe=False) if flagged_part else _plain(own)
            value = _as(part, value, flagged_part=flagged_part)
        values[field.name] = value
    return kind(**values)


def _plain(kind: Any) -> Any:
    return next(base for base in kind.__mro__ if "_is_flagged" not in vars(base))


@functools.cache
def _flagged(kind: Any, *, is_recipe: bool) -> Any:
    """The dataclass `kind` without its checks, which `plain` makes, and for a recipe without a flag for its name.

    tyro would print what a check raises in a box, under its internal names.
    """
    fields: list[Any] = [("name", tyro.conf.Suppress[str])] if is_recipe else []
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            part = _flagged(hints[field.name], is_recipe=False)
            fields.append((field.name, part, dataclasses.field(default_factory=part)))
    namespace = {"_is_flagged": True, "__post_init__": lambda _: None}
    made = dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), namespace=namespace, frozen=True, kw_only=True
    )
    made.__doc__ = kind.__doc__
    return made
