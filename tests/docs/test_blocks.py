"""The Python of the documentation runs as it stands: blocks of the pages, and the notebooks cell by cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alexnet.models import _build
from alexnet.recipes import named

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
ELSEWHERE = {"docs/guide.md": {"together = alexnet.Ensemble"}}
"""Blocks that need runs of several minutes: their names are tested where they are made."""


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_own_data_and_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    section = GUIDE.partition("## Your own data and network in Python")[2].partition("\n## ")[0]
    (block,) = blocks(section)
    assert sum(bool(line.strip()) for line in block.splitlines()) <= 35
    exec(block, {"__name__": "guide"})
    label, top1 = capsys.readouterr().out.split()[-2:]
    assert label == "down"
    assert float(top1) > 0.9
    assert (tmp_path / "runs/stripes/report.html").is_file()


@pytest.fixture
def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own; what a block makes known is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_build, "_REGISTRY", dict(_build._REGISTRY))
    monkeypatch.setattr(named, "_RECIPES", dict(named._RECIPES))
    return tmp_path


TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.md"))


@pytest.mark.parametrize("chapter", [path for path in TUTORIAL if blocks(path.read_text(encoding="utf-8"))])
def test_tutorial(chapter: Path, aside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a block prints is what the comments beside its `print` say."""
    for block in blocks(chapter.read_text(encoding="utf-8")):
        exec(block, {"__name__": "tutorial"})
        said = re.findall(r"^print\(.*\)  # (.+)$", block, re.MULTILINE)
        assert said
        printed = capsys.readouterr().out.splitlines()
        assert printed[: len(said)] == said


EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "printed"),
    [
        ("A network", "5738"),
        ("A source of images", "('dark', 'bright')"),
        ("A recipe", "8"),
        ("A study", "longer"),
    ],
)
def test_extending(heading: str, printed: str, aside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section = EXTENDING.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (block,) = blocks(section)
    assert len(block.splitlines()) <= 40
    exec(block, {"__name__": "extending"})
    assert capsys.readouterr().out.splitlines()[-1] == printed


def test_no_other_page_has_python_that_is_not_run() -> None:
    tested = {"docs/guide.md", "docs/extending.md", *(page.relative_to(ROOT).as_posix() for page in TUTORIAL)}
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT).as_posix()
        if blocks(page.read_text(encoding="utf-8")) and "zh-TW" not in name:
            assert name in tested | OWN_TESTS, f"{name} has Python: run it here, or name the test that does"
    others = [block for block in blocks(GUIDE) if "from_arrays" not in block]
    assert all(any(block.startswith(start) for start in ELSEWHERE["docs/guide.md"]) for block in others)


OWN_TESTS: set[str] = set()
"""Pages whose Python is run by tests beside what they describe."""


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted((ROOT / "docs" / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_notebook(notebook: Path, aside: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    cells = [cell.source for cell in jupytext.read(notebook).cells if cell.cell_type == "code"]
    assert len(cells) >= 3
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        exec(compile(cell, notebook.name, "exec"), names)
    assert (aside / str(names["run"]) / "report.html").is_file()
