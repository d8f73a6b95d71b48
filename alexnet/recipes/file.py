"""Recipes in files, as TOML or JSON.

A file holds the fields of `alexnet.Recipe`, its groups as tables. `name` says which recipe it derives from: fields
that the file leaves out are that recipe's, or the defaults where no recipe has the name. TOML has no word for "none":
fields that are None, although the recipe of that name sets them, are listed under `unset`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from alexnet.config import Recipe
from alexnet.errors import UserError
from alexnet.files import atomic_write
from alexnet.plain import to_dict
from alexnet.recipes.named import get, names

FILE_SUFFIXES = (".toml", ".json")
"""Files that hold a recipe."""

_UNSET = "unset"


def read(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a `.toml` or `.json` file, or in the recipe.json of a run folder.

    Raises:
        UserError: the file cannot be read, or a key or a value is none of a recipe's; names the nearest key.
    """
    path = Path(path)
    if path.suffix not in FILE_SUFFIXES:
        raise UserError(f"{path}: a recipe is a file ending in .toml or .json")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        if not isinstance(values, dict):
            raise UserError("it should hold a table of fields")
        own = values.get("recipe")
        return _recipe(own if isinstance(own, dict) else values)  # a run's recipe.json holds more
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of the syntax, or a value that cannot be used
        raise UserError(f"{path}: {error}") from error


def write(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write all fields of `recipe` to a `.toml` or `.json` file, which `read` makes the same recipe of.

    Raises:
        UserError: the file has another suffix.
        OSError: it cannot be written.
    """
    path = Path(path)
    if path.suffix not in FILE_SUFFIXES:
        raise UserError(f"{path}: call the file {path.with_suffix('.toml').name} or {path.with_suffix('.json').name}")
    values = to_dict(recipe)
    base = to_dict(get(recipe.name)) if recipe.name in names() else {}
    unset = [key for key, value in _flat(base).items() if value is not None and _flat(values)[key] is None]
    with atomic_write(path) as part:
        if path.suffix == ".json":
            part.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            part.write_text(_toml({**values, **({_UNSET: unset} if unset else {})}), encoding="utf-8")


def _recipe(values: dict[str, Any]) -> Recipe:
    values = dict(values)
    unset = values.pop(_UNSET, [])
    name = values.get("name")
    if not isinstance(name, str):
        raise UserError(f"set name to the recipe it derives from, one of {', '.join(names())}")
    base = get(name) if name in names() else Recipe(name=name)
    if not isinstance(unset, list) or not all(isinstance(key, str) for key in unset):
        raise UserError(f"{_UNSET} must be a list of fields")
    for key in unset:
        *group, field = key.split(".")
        table = values
        for part in group:
            table = table.setdefault(part, {})
        table[field] = None
    made: Recipe = _merged(base, values, "")
    return made


def _merged(base: Any, values: dict[str, Any], group: str) -> Any:
    """`base` with `values` in place of its fields."""
    hints = typing.get_type_hints(type(base))
    changes = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f"; did you mean {group}{near[0]}?" if near else ""
            if key == "base":
                hint = "; name says which recipe it derives from"
            raise UserError(f"there is no field {group}{key}{hint}")
        own = getattr(base, key)
        if dataclasses.is_dataclass(own):
            if not isinstance(value, dict):
                raise UserError(f"{group}{key} must be a table of fields, not {value!r}")
            changes[key] = _merged(own, value, f"{group}{key}.")
        else:
            changes[key] = _typed(hints[key], value, group + key)
    return dataclasses.replace(base, **changes)


def _typed(hint: Any, value: Any, key: str) -> Any:
    """`value` as a field of type `hint` holds it; the field's own class checks its range."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    for option in options:
        origin = typing.get_origin(option)
        if option is type(None) and value is None:
            return None
        if origin is typing.Literal and value in typing.get_args(option):
            return value
        if origin is tuple and isinstance(value, list):
            return tuple(_typed(typing.get_args(option)[0], each, key) for each in value)
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if option in (int, bool, str) and type(value) is option:
            return value
    raise UserError(f"{key} must be {_in_words(options)}, not {value!r}")


def _in_words(options: tuple[Any, ...]) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    found = []
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            found.append("one of " + ", ".join(typing.get_args(option)))
        elif typing.get_origin(option) is tuple:
            found.append("a list")
        elif option is not type(None):
            found.append(words.get(option, str(option)))
    return " or ".join(found)


def _flat(values: dict[str, Any], group: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{group}{key}.") if isinstance(value, dict) else {group + key: value}
    return found


def _toml(values: dict[str, Any]) -> str:
    """Plain values, lists of them, and tables of these."""
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [_line(key, value) for key, value in values.items() if value is not None and key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(_line(key, value) for key, value in table.items() if value is not None)]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    # JSON's texts, numbers, lists and booleans are TOML's too.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
