"""The language that pages and messages for newcomers are written in: English or Traditional Chinese."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from alexnet.errors import UserError

Language = Literal["en", "zh-TW"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

VARIABLE = "ALEXNET_LANGUAGE"
"""The environment variable that names it; `alexnet --language` sets it for a command."""
# In the order of POSIX; an empty one is as good as unset.
_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
_TRADITIONAL = re.compile(r"zh[_-](TW|HK|MO|Hant)", re.IGNORECASE)

Table = Mapping[str, tuple[str, str]]
"""Sentences by name, each in English and in Traditional Chinese; `{name}` is filled in.

Of `key` and `key_1` the second is taken where the value `n` is 1.
"""


def preferred() -> Language:
    """The language of `$ALEXNET_LANGUAGE`, else of the locale; English where neither says one of the two.

    Raises:
        UserError: `$ALEXNET_LANGUAGE` names another.
    """
    if named := os.environ.get(VARIABLE):
        return checked(named)
    locale = next((value for name in _LOCALE_VARIABLES if (value := os.environ.get(name))), "")
    return "zh-TW" if _TRADITIONAL.match(locale) else "en"


def checked(name: str) -> Language:
    """`name`, if it is one of the two languages; raises `UserError` if not."""
    for language in LANGUAGES:
        if name == language:
            return language
    raise UserError(f"unknown language {name!r}: choose {' or '.join(LANGUAGES)}")


class Words:
    """A table's sentences in one language.

    Args:
        table: the sentences.
        language: which of the two; None: the preferred one.
    """

    def __init__(self, table: Table, language: Language | None = None) -> None:
        self.language: Language = language or preferred()
        self._table, self._which = table, LANGUAGES.index(self.language)

    def join(self, sentences: Sequence[Any]) -> Any:
        """Sentences of a paragraph, as markup; in Chinese no space stands between them."""
        from markupsafe import Markup

        return Markup(" " if self.language == "en" else "").join(sentences)

    def listed(self, parts: Sequence[str]) -> str:
        """`a, b, c`."""
        return (", " if self.language == "en" else "、").join(parts)

    def plain(self, key: str, **values: Any) -> str:
        """A sentence as text, for a terminal, a plot or a file."""
        return self._text(key, values).format(**values)

    def __call__(self, key: str, **values: Any) -> Any:
        """A sentence as markup, for a page: its own tags stay, `code` becomes a tag, and values are escaped."""
        from markupsafe import Markup

        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", self._text(key, values))
        return Markup(text).format(**values)

    def _text(self, key: str, values: Mapping[str, Any]) -> str:
        if values.get("n") == 1 and f"{key}_1" in self._table:
            key = f"{key}_1"
        return self._table[key][self._which]
