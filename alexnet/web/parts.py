"""The files of the front end, and the tables of words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh-TW")
"""Languages that pages speak; the first one is taken where the browser asks for none of them."""


def folder() -> Path:
    """Where the shared modules and the style sheet lie."""
    return Path(__file__).parent


def read(name: str) -> str:
    """A shared file, for example `style.css`."""
    return (folder() / name).read_text(encoding="utf-8")


def words(sections: Sequence[str]) -> dict[str, dict[str, str]]:
    """The words of some sections of the tables, by language, as the `words.js` module takes them.

    Args:
        sections: top-level keys of the tables, for example `("input", "answer")`.

    Returns:
        For each language its words, with keys such as `input.choose`.

    Raises:
        KeyError: a table has no such section.
    """
    return {language: _flat(language, sections) for language in LANGUAGES}


def _flat(language: str, sections: Sequence[str]) -> dict[str, str]:
    table: dict[str, Any] = json.loads(read(f"words/{language}.json"))
    return {f"{section}.{key}": word for section in sections for key, word in table[section].items()}
