"""The front page of the command, and what is said to words that are none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexnet import cli, recipes
from alexnet.cli import overview
from alexnet.cli.commands import COMMANDS
from alexnet.run_folder import RunFolder


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    out, err = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, out, err


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_one_line_a_command_on_one_screen(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(words, capsys)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for name in COMMANDS:
        assert sum(line.split()[:1] == [name] and line.startswith("  ") for line in lines) == 1
    assert {name for group in overview.GROUPS.values() for name in group} == set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "hint", "listed"),
    [
        (["train", "tiny_cifr"], "there is no recipe 'tiny_cifr'; did you mean tiny_cifar10?", "imagenet_2012"),
        (["train", "tiny_cifr", "--epochs", "3"], "did you mean tiny_cifar10?", "imagenet_2012"),
        (["tran", "digits"], "there is no command 'tran'; did you mean train?", "predict"),
        (["baseline", "hog_linar"], "did you mean hog_linear?", "visual_words"),
        (["study", "dropot"], "did you mean dropout?", "activation"),
        (["study", "xyz"], "there is no study 'xyz'\n", "activation"),
    ],
)
def test_unknown_words_are_answered_with_the_nearest(
    words: list[str], hint: str, listed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = said(words, capsys)
    assert (status, out) == (2, "")
    assert hint in err
    assert listed in err


def test_a_recipe_from_a_file_with_flags_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(["recipes", "digits", str(tmp_path / "my.toml")], capsys)
    assert status == 0
    assert f"alexnet train {tmp_path / 'my.toml'}" in out
    text = (tmp_path / "my.toml").read_text()
    (tmp_path / "my.toml").write_text(text.replace("epochs = 20", "epochs = 5").replace('"digits"', '"digits"', 1))
    run = tmp_path / "run"
    status, _, err = said(
        ["train", str(tmp_path / "my.toml"), "--train-images", "64", "--epochs", "1", "--out", str(run)], capsys
    )
    assert status == 0, err
    recipe, _ = RunFolder(run).read_recipe()
    assert (recipe.epochs, recipe.train_images, recipe.batch_size) == (1, 64, recipes.digits().batch_size)


def test_a_missing_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = said(["train", "digits", "--train-images", "64", "--out", "/proc/x"], capsys)
    assert status == 2
    assert "cannot create the run folder x in /proc" in err
