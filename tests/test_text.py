"""Text for people."""

from __future__ import annotations

import os

from alexnet.text import counted, html_table, printable


def test_text_for_a_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\x07\x9b\n\t貓 é") == "a\\x1b[2Jb\\x0dc\\x07\\x9b\n\t貓 é"
    assert printable("x\u202egpj.exe\U000e0001") == "x\\u202egpj.exe\\U000e0001"
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("\ud800") == "\\ud800"


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]


def test_a_table_escapes_what_files_and_classes_are_called() -> None:
    table = html_table(("class", "n"), [("<b>&", "1")], title="a<b")
    assert table == (
        "<table><caption>a&lt;b</caption><tr><th>class</th><th>n</th></tr><tr><td>&lt;b&gt;&amp;</td><td>1</td></tr></table>"
    )
