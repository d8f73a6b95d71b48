"""The version stands in one place, and everything that names it agrees."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import alexnet

ROOT = Path(__file__).parent.parent


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "alexnet/_version.py"
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    released = re.search(r"^## (\d.+) - ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert released is not None
    assert alexnet.__version__ == version("alexnet") == cited[1] == released[1]


def test_the_wheel_holds_all_that_is_not_python(tmp_path: Path) -> None:
    """Templates, style sheets, the mark of types, and the weights, which together stay small."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    package = ROOT / "alexnet"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }
    assert {"alexnet/py.typed", "alexnet/evaluation/report/report.css"} <= expected
    assert expected <= sizes.keys()
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    assert sum(weights.values()) <= 12e6
    assert weights["alexnet/weights/shipped/small.safetensors"] <= 8e6
