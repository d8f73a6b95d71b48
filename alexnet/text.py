"""Text for people."""

from __future__ import annotations


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
