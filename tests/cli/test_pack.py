"""`alexnet data pack`, and what the other actions say of its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

Command = Callable[..., CompletedProcess[str]]


def test_pack_check_and_info(alexnet: Command, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("ant", "bee"):
        for i in range(3):
            path = tmp_path / "photos" / ("test" if i == 2 else "train") / name / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    (tmp_path / "photos" / "train" / "ant" / "9.jpg").write_bytes(b"words")
    pack = ("data", "pack", tmp_path / "photos", tmp_path / "out", "--short-px", 20, "--processes", 1)
    stopped = alexnet(*pack)
    assert stopped.returncode == 2
    assert "ant/9.jpg" in stopped.stderr
    assert "--on-bad skip" in stopped.stderr
    done = alexnet(*pack, "--on-bad", "skip", "--json")
    assert done.returncode == 1
    assert "left out" in done.stderr
    values = json.loads(done.stdout)
    assert (values["images"], values["left_out"]) == ({"train": 4, "test": 2}, 1)
    info = json.loads(alexnet("data", "info", tmp_path / "out", "--json").stdout)
    assert info["images_per_class"]["test"] == {"ant": 1, "bee": 1}
    assert "6 files checked, 0 bad" in alexnet("data", "check", tmp_path / "out").stdout


def test_options_of_pack_are_refused_elsewhere(alexnet: Command, tmp_path: Path) -> None:
    done = alexnet("data", "info", "digits", tmp_path, "--quality", 80)
    assert done.returncode == 2
    assert "data info does not use OUT, --quality" in done.stderr
    assert "name the folder to write" in alexnet("data", "pack", tmp_path).stderr
