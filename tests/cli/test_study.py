"""`alexnet study`: what it names, and mistakes; running one is tested with the studies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alexnet import cli, studies

pytestmark = pytest.mark.slow


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    said = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, said.out, said.err


def test_it_names_the_studies_and_their_time(capsys) -> None:
    status, said, _ = answer(capsys, "study", "--list")
    assert status == 0
    assert all(name in said for name in studies.NAMES)
    assert "core minutes" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name one study, or pass --all"),
        (["pooling", "--all", "--data", "digits"], "name one study, or pass --all"),
        (["pooling"], "name the images: --data cifar10, or a folder"),
        (["pooling", "--list"], "--list names the studies and runs none: drop everything else"),
        (["--all"], "studies holds no finished study: run one with `alexnet study NAME --data SRC`"),
        (["pooling", "--data", "digits", "--seeds", "0"], "seeds must be 1 or more, not 0"),
        (["gravity", "--data", "digits"], "gravity"),
    ],
)
def test_mistakes_are_answered_in_a_line_or_two(capsys, tmp_path: Path, monkeypatch, words, says) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, complaint = answer(capsys, "study", *words)
    assert status == 2
    assert says in " ".join(complaint.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_study_is_run_and_told(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("study", "cost", "--data", "digits", "--quick", "--processes", 2)
    status, said, progress = answer(capsys, *words)
    assert status == 0
    assert said.splitlines()[0].startswith("cost: a preview, no verdict (AlexNet is larger than LeNet")
    assert said.splitlines()[-1] == "all studies: studies-quick/index.html"
    assert "cost: 4 runs to do, 2 at a time" in progress
    values = json.loads((tmp_path / "studies-quick" / "cost" / "study.json").read_text())
    by_name = {arm["name"]: arm["figures"] for arm in values["arms"]}
    assert by_name["lenet"]["parameters"]["mean"] == pytest.approx(44_426 / 1e6)
    assert by_name["alexnet"]["macs"]["mean"] > by_name["tiny-alexnet"]["macs"]["mean"]
