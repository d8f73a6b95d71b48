"""The Python of the documentation runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parent.parent / "docs" / "guide.md").read_text(encoding="utf-8")


def test_own_data_and_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    section = GUIDE.partition("## Your own data and network in Python")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert sum(bool(line.strip()) for line in block.splitlines()) <= 35
    exec(block, {"__name__": "guide"})
    label, top1 = capsys.readouterr().out.split()[-2:]
    assert label == "down"
    assert float(top1) > 0.9
    assert (tmp_path / "runs/stripes/report.html").is_file()
