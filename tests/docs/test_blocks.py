"""The Python of the documentation runs as it stands: blocks of the pages, and the notebooks cell by cell."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import alexnet
from alexnet.models import _build
from alexnet.recipes import named

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


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


NOT_RUN = {
    "docs/guide.md": "all but one block, which needs two finished runs",
    "docs/explain.md": "takes minutes on ten thousand images; tests/explain runs the same calls on few",
    "docs/export.md": "needs a file that was exported before; tests/export runs the same calls",
    "docs/serving.md": "needs Ray and a cluster",
}
"""Pages with Python that is not run here, and why; that it parses and that its names exist is tested."""
ENGLISH = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "zh-TW" not in path.parts]


def test_what_is_not_run_is_listed() -> None:
    run = {"docs/extending.md", *(path.relative_to(ROOT).as_posix() for path in TUTORIAL)}
    with_python = {path.relative_to(ROOT).as_posix() for path in ENGLISH if blocks(path.read_text(encoding="utf-8"))}
    assert with_python - run <= set(NOT_RUN), "run it here, or say why not"


@pytest.mark.parametrize("name", [name for name in NOT_RUN if (ROOT / name).exists()])
def test_names_of_what_is_not_run_exist(name: str) -> None:
    for block in blocks((ROOT / name).read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("alexnet"):
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            elif isinstance(node, ast.Attribute) and re.fullmatch(r"alexnet(\.\w+)+", ast.unparse(node)):
                words = ast.unparse(node).split(".")
                assert words[1] in alexnet.__all__
                value = getattr(alexnet, words[1])
                assert len(words) < 3 or hasattr(value, words[2]), ".".join(words)


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
