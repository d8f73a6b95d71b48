"""A small study from end to end: what it writes, what it does not do twice, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from alexnet import studies
from alexnet.errors import Interrupted, UserError
from alexnet.run_folder import RunFolder
from alexnet.studies import worker
from alexnet.studies.sharing import MEASURED
from alexnet.studies.worker import Job, work

pytestmark = pytest.mark.slow


def result(folder: Path) -> dict:
    return json.loads((folder / "study.json").read_text())


class Counting(studies.Observer):
    def __init__(self) -> None:
        self.started: list[tuple[int, int]] = []
        self.runs: list[tuple[str, str | None]] = []
        self.lrs: dict[str, float] = {}

    def on_start(self, study, to_do, done, processes) -> None:
        self.started.append((to_do, done))

    def on_run(self, folder, done, total, failure) -> None:
        self.runs.append((folder.name, failure))

    def on_tuned(self, arm, lr) -> None:
        self.lrs[arm.name] = lr


def test_what_a_study_leaves(finished: Path):
    values = result(finished)
    assert values["verdict"] == "holds"
    (comparison,) = values["comparisons"]
    assert (comparison["values"], comparison["mean"], comparison["interval"]) == ([1.0, 1.0], 1.0, [1.0, 1.0])
    one, two = values["arms"]
    assert (one["figures"]["epochs"]["values"], two["figures"]["epochs"]["values"]) == ([1.0, 1.0], [2.0, 2.0])
    assert one["figures"]["odd"] == {"values": [None, 1.0], "mean": 1.0, "interval": None, "n": 1}
    assert [x for x, _ in two["curves"]["loss"]] == [[0.5, 1.5], [0.5, 1.5]]
    assert values["cost"]["runs"] == 4
    assert values["cost"]["cpu_s"] > 0
    assert values["environment"]["torch"]
    assert two["command"].startswith("alexnet train digits --data SRC --seed S --epochs 2 ")
    for name in ("plot.png", "plot.svg", "index.html"):
        assert (finished / name).stat().st_size > 1000


def test_each_run_is_a_run_folder_of_its_seed(finished: Path):
    for arm, epochs in (("one", 1), ("two", 2)):
        for seed in range(2):
            folder = RunFolder(finished / "runs" / f"{arm}-{seed}")
            recipe, values = folder.read_recipe()
            assert (recipe.seed, recipe.epochs, values["data"]["n_train"]) == (seed, epochs, 100)
            assert folder.result.is_file()


def test_what_is_done_is_not_done_again(finished: Path, one_and_two, tmp_path: Path):
    again = shutil.copytree(finished, tmp_path / "again")
    (again / "runs" / "two-1" / MEASURED).unlink()
    (again / "study.json").unlink()
    weights = (again / "runs" / "two-1" / "model.safetensors").stat().st_mtime_ns
    seen = Counting()
    studies.run(one_and_two(), "digits", out=again, observer=seen)
    assert seen.started == [(1, 3)]
    assert seen.runs == [("two-1", None)]
    assert (again / "runs" / "two-1" / "model.safetensors").stat().st_mtime_ns == weights  # measured, not trained
    assert result(again)["arms"] == result(finished)["arms"]


def test_other_recipes_and_other_images_are_refused(finished: Path, tiny, one_and_two):
    with pytest.raises(UserError, match=r"one-0 holds a run of another recipe .*: name another --out"):
        studies.run(tiny.study(one=tiny.recipe(3), two=tiny.recipe(2)), "digits", out=finished)
    note = finished / "runs" / "images.json"
    kept = note.read_text()
    note.write_text(json.dumps({"fingerprint": "another"}))
    try:
        with pytest.raises(UserError, match="saw other images: name another --out"):
            studies.run(one_and_two(), "digits", out=finished)
    finally:
        note.write_text(kept)


@pytest.mark.parametrize("options", [{"seeds": 0}, {"processes": 0}])
def test_numbers_out_of_range(one_and_two, tmp_path: Path, options):
    with pytest.raises(UserError, match="must be 1 or more, not 0"):
        studies.run(one_and_two(), "digits", out=tmp_path, **options)


def test_rates_are_tuned_and_a_net_that_does_not_learn_is_a_result(tiny, tmp_path: Path):
    made = tiny.study(tuning=True, one=tiny.recipe(1, lr=1e12), two=tiny.recipe(1, lr=1e12))
    seen = Counting()
    studies.run(made, "digits", out=tmp_path, seeds=1, processes=2, observer=seen)
    values = result(tmp_path)
    assert seen.lrs == {"one": 0.02, "two": 0.02}
    assert [name for name, failure in seen.runs if failure] == ["tune-one-1e+12", "tune-two-1e+12"]
    assert values["tuning"]["arms"]["one"]["chosen"] == 0.02
    assert values["tuning"]["arms"]["one"]["trials"][2] == {"lr": 1e12, "train_top1": None}
    assert not values["tuning"]["arms"]["one"]["at_edge"]
    assert "--optimizer.lr" not in values["arms"][0]["command"]  # 0.02 is that of the recipe `digits`
    assert values["verdict"] == "does not hold here" or values["comparisons"][0]["n"] == 1


def test_a_failure_stands_in_the_place_of_figures(tiny, tmp_path: Path):
    recipe = tiny.recipe(1, lr=1e12)
    job = Job(tiny.study(one=recipe, two=recipe), tmp_path / "run", recipe, None, tuning=False)
    before = signal.getsignal(signal.SIGINT)
    try:
        work(job)
    finally:
        signal.signal(signal.SIGINT, before)
    measured = json.loads((tmp_path / "run" / MEASURED).read_text())
    assert measured["figures"] == {}
    assert "the loss became" in measured["failure"] or "training diverged" in measured["failure"]


def test_what_a_stopped_process_spent_counts(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def spend(_job: Job) -> dict:
        now_s[0] += 10
        if now_s[0] < 130:
            raise Interrupted("stopped", signal.SIGTERM)
        return {"figures": {}, "curves": {}}

    now_s = [100.0]
    monkeypatch.setattr(worker, "_train_and_measure", spend)
    monkeypatch.setattr(worker.time, "process_time", lambda: now_s[0])
    recipe = tiny.recipe(1)
    job = Job(tiny.study(one=recipe, two=recipe), tmp_path / "run", recipe, None, tuning=False)
    before = signal.getsignal(signal.SIGINT)
    try:
        for _ in range(3):  # stopped twice
            work(job)
    finally:
        signal.signal(signal.SIGINT, before)
    assert json.loads((tmp_path / "run" / MEASURED).read_text())["cpu_s"] == 30


def test_a_run_that_cannot_be_made_stops_the_study_and_says_why(tiny, tmp_path: Path):
    from dataclasses import replace

    impossible = replace(tiny.recipe(1), train_images=10_000)
    with pytest.raises(UserError, match="was not finished: train_images asks for 10,000 images"):
        studies.run(tiny.study(one=impossible, two=impossible), "digits", out=tmp_path, processes=1, seeds=1)


def test_a_signal_stops_the_study_and_it_goes_on(tiny, finished: Path, tmp_path: Path):
    class Impatient(studies.Observer):
        def on_run(self, folder, done, total, failure) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    made = tiny.study(one=tiny.recipe(1), two=tiny.recipe(2))
    with pytest.raises(Interrupted, match="the same command goes on") as stop:
        studies.run(made, "digits", out=tmp_path, processes=2, observer=Impatient())
    assert stop.value.signal == signal.SIGTERM
    assert not (tmp_path / "study.json").exists()
    studies.run(made, "digits", out=tmp_path, processes=2)
    kept, again = result(finished)["arms"], result(tmp_path)["arms"]
    assert [arm["curves"] for arm in again] == [arm["curves"] for arm in kept]
