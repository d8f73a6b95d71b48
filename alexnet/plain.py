"""Configurations as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import fields
from typing import Any, TypeVar

from alexnet._checks import require

_T = TypeVar("_T")


_RENAMED = {("Recipe", "init"): "pretrained"}
"""Fields that files of earlier versions hold under other names."""


def to_dict(config: Any) -> dict[str, Any]:
    """`config` (any dataclass of this module) as plain JSON values."""
    return dataclasses.asdict(config)


def from_dict(kind: type[_T], values: dict[str, Any]) -> _T:
    """Build the dataclass `kind` from `values` as `to_dict` made them; unknown keys raise `UserError`."""
    values = {_RENAMED.get((kind.__name__, name), name): value for name, value in values.items()}
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    require(not unknown, f"{kind.__name__} has no field {', '.join(unknown)}; it was written by another version")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _restore(hints[name], value) for name, value in values.items()})


def _restore(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        known = typing.get_args(hint)
        require(value in known, f"{value!r} is none of {', '.join(known)}; it was written by another version")
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value)
    return tuple(value) if typing.get_origin(hint) is tuple else value
