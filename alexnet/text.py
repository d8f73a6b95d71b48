"""Text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def printable(text: str, *, kept: str = "\n\t") -> str:
    """`text` for a terminal: control and format characters are escaped, but for those in `kept`.

    A file may be called what it likes, escape sequences, marks that reverse the direction of writing and bytes that
    are no UTF-8 included. Letters of all scripts stay as they are.
    """
    return "".join(char if char.isprintable() or char in kept else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def counted(n: int, what: str) -> str:
    """`1 epoch`, `1,200 epochs`, `20 classes`."""
    ending = "" if n == 1 else "es" if what.endswith("s") else "s"
    return f"{n:,} {what}{ending}"


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> str:
    """A table for notebooks, of plain cells; all text is escaped, and names with it."""
    cells = [[f"<th>{escape(cell)}</th>" for cell in head], *([f"<td>{escape(c)}</td>" for c in row] for row in rows)]
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}" + "".join(f"<tr>{''.join(row)}</tr>" for row in cells) + "</table>"
