"""A recipe as the command-line flags that make it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from alexnet.config import Recipe
from alexnet.recipes.named import get


def overrides(recipe: Recipe) -> list[str]:
    """The command-line flags that turn the recipe of the same name into `recipe`."""
    return flags(get(recipe.name), recipe)


def flags(base: Any, changed: Any) -> list[str]:
    """The command-line flags that turn the dataclass `base` into `changed`, one of its kind."""
    return _flags(base, changed, "--")


def _flags(base: Any, changed: Any, prefix: str) -> list[str]:
    found: list[str] = []
    hints = get_type_hints(type(base))
    for name in (field.name for field in fields(base)):
        old, new = getattr(base, name), getattr(changed, name)
        flag = prefix + name.replace("_", "-")
        if is_dataclass(old):
            found += _flags(old, new, f"{flag}.")
        elif old == new or name == "data":  # --data is named by every command anyway
            continue
        elif hints[name] is bool:  # a switch; `bool | None` takes a value
            head, _, last = flag.rpartition(".")
            found.append(flag if new else (f"{head}.no-{last}" if head else f"--no-{flag[2:]}"))
        else:
            found += [flag, *map(str, new if isinstance(new, tuple) else (new,))]
    return found
