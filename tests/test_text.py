"""Text for people."""

from __future__ import annotations

import os

from alexnet.text import counted, printable


def test_text_for_a_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\x07\x9b\n\t貓 é") == "a\\x1b[2Jb\\x0dc\\x07\\x9b\n\t貓 é"
    assert printable("x\u202egpj.exe\U000e0001") == "x\\u202egpj.exe\\U000e0001"
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("\ud800") == "\\ud800"


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]
