"""Names of files and classes cannot write to the terminal what they like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from alexnet import cli

EVIL = "a\x1b[2J\nalexnet: all is well"


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be given there")
@pytest.mark.parametrize("words", [["data", "check"], ["data", "info"], ["train", "photos", "--data"]])
def test_names_are_escaped(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (EVIL, "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(tmp_path / "set" / name / f"{i}.png")
    (tmp_path / "set" / EVIL / f"{EVIL}.png").write_bytes(b"broken")
    with pytest.raises(SystemExit):
        cli.main([*words, str(tmp_path / "set"), *(["--out", str(tmp_path / "run")] if words[0] == "train" else [])])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "a\\x1b[2J" in out + err
    if words[0] == "data":
        assert not any(line.startswith("alexnet: all is well") for line in (out + err).splitlines())
