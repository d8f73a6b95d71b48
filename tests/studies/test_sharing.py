"""Runs that studies have in common."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from alexnet import studies
from alexnet.studies import sharing

pytestmark = pytest.mark.slow


@pytest.fixture
def beside(finished: Path, tmp_path: Path) -> Path:
    """The folder of a study that is to be run, beside a finished one."""
    shutil.copytree(finished, tmp_path / "finished")
    runs = tmp_path / "new" / "runs"
    runs.mkdir(parents=True)
    shutil.copy(tmp_path / "finished" / "runs" / sharing.IMAGES, runs)
    return runs.parent


def test_what_another_study_trained_is_measured_alone(beside: Path, tiny):
    study = tiny.study(one=tiny.recipe(1), two=tiny.recipe(3))  # one of its arms is in the finished study
    studies.run(study, "digits", out=beside, seeds=1, processes=1)
    theirs, ours = beside.parent / "finished" / "runs" / "one-0", beside / "runs" / "one-0"
    assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()
    assert (ours / "recipe.json").read_bytes() == (theirs / "recipe.json").read_bytes()  # its start is told there
    measured = [json.loads((run / sharing.MEASURED).read_text()) for run in (theirs, ours)]
    assert measured[0]["figures"] == measured[1]["figures"]
    assert measured[1]["cpu_s"] >= measured[0]["cpu_s"] == sharing.cost_s(ours) > 0
    assert sharing.cost_s(beside / "runs" / "two-0") == 0


def test_a_run_is_taken_whole_or_not_at_all(beside: Path, tiny):
    new, theirs = beside / "runs" / "mine-0", beside.parent / "finished" / "runs" / "one-0"
    recipe = tiny.recipe(1)
    for name in ("result.json", sharing.MEASURED):
        kept = (theirs / name).read_bytes()
        (theirs / name).unlink()
        sharing.take(new, recipe)
        assert not new.exists()  # it is not finished
        (theirs / name).write_bytes(kept)
    sharing.take(new, tiny.recipe(1, lr=0.5))
    assert not new.exists()  # of another recipe
    images = beside / "runs" / sharing.IMAGES
    kept = images.read_bytes()
    images.write_text('{"fingerprint": "another"}')
    sharing.take(new, recipe)
    assert not new.exists()  # of other images
    images.write_bytes(kept)
    sharing.take(new, recipe)
    assert not (new / sharing.MEASURED).exists()
    assert (new / "result.json").read_bytes() == (theirs / "result.json").read_bytes()


def test_a_study_in_the_current_folder(beside: Path, tiny, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(beside)
    sharing.take(Path("runs") / "mine-0", tiny.recipe(1))
    assert (beside / "runs" / "mine-0" / "result.json").is_file()


def test_the_studies_that_share_runs():
    def arm(study: str, name: str) -> object:
        return studies.get(study).arm(name).recipe

    assert arm("features", "net-500") == arm("data", "n500")
    assert arm("normalisation", "response") == arm("pooling", "overlapping")
    assert arm("depth", "whole") == arm("towers", "one")
