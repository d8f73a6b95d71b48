"""`alexnet baseline` as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def run(alexnet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A finished run folder, and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "hog"
    done = alexnet("baseline", "hog_color_linear", "--data", "digits", "--threads", 1, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, done.stderr


def test_it_says_what_it_does_and_ends_by_naming_run_and_report(run) -> None:
    folder, said, progress = run
    first, *_, named, report = said.splitlines()
    assert first.startswith("test top-1 0.9")
    assert "images; fitted in" in first
    assert named == f"run folder: {folder}"
    assert report == f"report:     {folder}/report.html"
    assert "1,293 images of 32 px, 145 held out, 10 classes" in progress
    assert "c 0.1  val top-1 0." in progress


def test_evaluate_and_predict_take_the_run(alexnet, run, tmp_path: Path) -> None:
    folder, _, _ = run
    done = alexnet("evaluate", folder, "--data", "digits", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["top1"] == json.loads((folder / "result.json").read_text())["test_top1"]
    from PIL import Image

    Image.new("L", (40, 50), 255).save(tmp_path / "blank.png")
    named = alexnet("predict", folder, tmp_path / "blank.png", "--json", "--top", 3)
    assert named.returncode == 0, named.stderr
    assert len(json.loads(named.stdout)["classes"]) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hog_linear", "--words", "5"], "--words"),
        (["resnet"], "resnet"),
        (["hog_linear", "--val-fraction", "0"], "chooses its settings on held-out images"),
        (["hog_linear", "--image-px", "8"], "at least 16 px, not 8: set --image-px"),
    ],
)
def test_mistakes_are_answered_in_a_line_or_two(alexnet, tmp_path: Path, words: list[str], says: str) -> None:
    done = alexnet("baseline", *words, "--data", "digits", cwd=tmp_path)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_not_lost(alexnet, run) -> None:
    folder, _, _ = run
    done = alexnet("baseline", "hog_linear", "--data", "digits", "--out", folder)
    assert done.returncode == 2
    assert done.stderr == (f"alexnet: {folder} is not empty: replace it with --overwrite, or name another --out\n")
