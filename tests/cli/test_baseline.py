"""`alexnet baseline`: once as a process, then what comes after within this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from alexnet import cli

pytestmark = pytest.mark.slow


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    said = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, said.out, said.err


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


def test_evaluate_and_predict_take_the_run(run, capsys, tmp_path: Path) -> None:
    folder, _, _ = run
    status, said, _ = answer(capsys, "evaluate", folder, "--data", "digits", "--json")
    assert status == 0
    assert json.loads(said)["top1"] == json.loads((folder / "result.json").read_text())["test_top1"]
    Image.new("L", (40, 50), 255).save(tmp_path / "blank.png")
    status, said, _ = answer(capsys, "predict", folder, tmp_path / "blank.png", "--json", "--top", 3)
    assert status == 0
    assert len(json.loads(said)["classes"]) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hog_linear", "--words", "5"], "--words"),
        (["resnet"], "resnet"),
        (["hog_linear", "--val-fraction", "0"], "chooses its settings on held-out images"),
        (["hog_linear", "--image-px", "8"], "at least 16 px, not 8: set --image-px"),
    ],
)
def test_mistakes_are_answered_in_a_line_or_two(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, complaint = answer(capsys, "baseline", *words, "--data", "digits")
    assert status == 2
    assert says in " ".join(complaint.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_not_lost(run, capsys) -> None:
    folder, _, _ = run
    status, _, complaint = answer(capsys, "baseline", "hog_linear", "--data", "digits", "--out", folder)
    assert status == 2
    assert complaint == f"alexnet: {folder} is not empty: replace it with --overwrite, or name another --out\n"


def test_it_cannot_be_resumed(run, capsys) -> None:
    folder, _, _ = run
    status, _, complaint = answer(capsys, "train", "--resume", folder)
    assert status == 2
    assert "it holds a baseline, not resumable: run `alexnet baseline NAME --overwrite`" in complaint
