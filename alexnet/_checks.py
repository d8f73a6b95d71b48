"""Whether the values of a configuration can be used."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from alexnet.errors import UserError

_LARGEST_INT, _LARGEST_SEED, _LARGEST_FLOAT = 2**31 - 1, 2**63 - 1, 1e12


def check_values(config: Any, group: str = "") -> None:
    """Raise `UserError` for a field of `config` whose value is not of its type, not finite, or absurdly large."""
    hints = typing.get_type_hints(type(config))
    for name, hint in hints.items():
        options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        value = getattr(config, name)
        if value is None and type(None) in options:
            continue
        _check_value(group + name, next(option for option in options if option is not type(None)), value)


def _check_value(name: str, hint: Any, value: Any) -> None:
    if typing.get_origin(hint) is tuple:
        require(isinstance(value, tuple), f"{name} must be a list of values, not {value!r}")
        for each in value:
            _check_value(name, typing.get_args(hint)[0], each)
    elif typing.get_origin(hint) is Literal:
        known = typing.get_args(hint)
        require(value in known, f"{name} must be one of {', '.join(known)}, not {value!r}")
    elif hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        require(is_number, f"{name} must be a number, not {value!r}")
        require(
            abs(value) <= _LARGEST_FLOAT, f"{name} must be finite and at most {_LARGEST_FLOAT:g}, not {value}"
        )  # NaN compares as false
    elif hint is int:
        require(type(value) is int, f"{name} must be a whole number, not {value!r}")
        largest = _LARGEST_SEED if name == "seed" else _LARGEST_INT
        require(abs(value) <= largest, f"{name} must be at most {largest:,}, not {value:,}")
    else:
        require(isinstance(value, hint), f"{name} must be of type {hint.__name__}, not {value!r}")


def require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def refuse_unused(group: str, config: Any, used: dict[str, set[str]]) -> None:
    require(config.name in used, f"{group}.name must be one of {', '.join(used)}, not {config.name!r}")
    optional = set().union(*used.values())
    for name in sorted(optional - used[config.name]):
        if getattr(config, name) is not None:
            users = ", ".join(kind for kind, names in used.items() if name in names)
            raise UserError(
                f"{group}.{name} is not used by {config.name} (it belongs to {users}): "
                f"drop it, or pass --{group}.{name.replace('_', '-')} None"
            )
