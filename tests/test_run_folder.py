"""The run folder refuses to lose what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexnet import recipes
from alexnet.errors import UserError
from alexnet.run_folder import RunFolder, new_run


def test_default_names_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {new_run(None, recipes.digits()).path for _ in range(5)}
    assert len(folders) == 5
    assert all(path.parent == Path("runs") and path.name.startswith("digits-20") for path in folders)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"not empty: replace it with --overwrite"):
        new_run(tmp_path, recipes.digits())


def test_a_run_that_can_go_on_says_so(tmp_path: Path) -> None:
    checkpoint = RunFolder(tmp_path).checkpoint
    checkpoint.parent.mkdir()
    checkpoint.touch()
    with pytest.raises(UserError, match=r"not empty.*--resume.*--overwrite"):
        new_run(tmp_path, recipes.digits())


def test_a_baseline_cannot_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"kind": "baseline", "recipe": {"name": "hog_linear"}}')
    with pytest.raises(UserError, match="alexnet baseline"):
        RunFolder(tmp_path).read_recipe()


def test_overwrite_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoint.parent.mkdir()
    for path in (folder.recipe, folder.metrics, folder.checkpoint, folder.model, folder.result, folder.report):
        path.write_text("old")
    (tmp_path / "notes.txt").write_text("keep me")
    new_run(tmp_path, recipes.digits(), overwrite=True)
    assert [path.name for path in sorted(tmp_path.rglob("*")) if path.is_file()] == ["notes.txt"]


def test_out_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(UserError, match="is a file"):
        new_run(path, recipes.digits())


def test_out_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot create the run folder"):
        new_run(tmp_path / "file" / "run", recipes.digits())


def test_metrics_are_appended_and_replaced(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_metrics([{"epoch": 1}])
    folder.append_metrics({"epoch": 2})
    assert folder.read_metrics() == [{"epoch": 1}, {"epoch": 2}]
    folder.write_metrics([{"epoch": 1}])
    assert folder.read_metrics() == [{"epoch": 1}]


def test_a_damaged_recipe_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"recipe": {"name": "digits", "epochs": 1, "momentum": 3}}')
    with pytest.raises(UserError, match=r"cannot read .*recipe\.json.*momentum"):
        RunFolder(tmp_path).read_recipe()
