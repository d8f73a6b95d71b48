"""A run that was stopped anywhere, and continued, ends with the very weights of one that never stopped."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alexnet import recipes, training
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.errors import UserError
from alexnet.training import control

pytestmark = pytest.mark.slow

EPOCHS = 3


def recipe(precision: str) -> Recipe:
    return replace(
        recipes.digits(),
        epochs=EPOCHS,
        batch_size=50,
        precision=precision,
        threads=1,
        ema_decay=0.99,
        augment=AugmentConfig(crop_padding_px=2, flip="random"),
        checkpoint_every_s=1e-3,
    )


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def assert_same_run(run: Path, reference: Path) -> None:
    ours, theirs = weights_of(run), weights_of(reference)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    timed = {"images_per_s", "data_wait", "elapsed_s", "train_s"}
    rows = [
        [{k: v for k, v in row.items() if k not in timed} for row in training.RunFolder(path).read_metrics()]
        for path in (run, reference)
    ]
    assert rows[0] == rows[1]
    results = [json.loads((path / "result.json").read_text()) for path in (run, reference)]
    assert {k: v for k, v in results[0].items() if k not in timed} == {
        k: v for k, v in results[1].items() if k not in timed
    }


def train_or_resume(run: str, precision: str) -> None:
    """What a child process does; at module level so that it can be sent there."""
    if (Path(run) / "recipe.json").exists():
        training.resume(run)
    else:
        training.train(recipe(precision), out=run)


@pytest.fixture(scope="module")
def children() -> Any:
    """Processes that have torch imported already, so that many can be started and killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["alexnet.training"])
    return context


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    precision = request.param
    run = tmp_path_factory.mktemp("reference") / precision
    torch_threads = torch.get_num_threads()
    training.train(recipe(precision), out=run)
    torch.set_num_threads(torch_threads)
    return precision, run


def test_kill_9_at_random_moments(reference: tuple[str, Path], children: Any, tmp_path: Path) -> None:
    precision, whole = reference
    run = tmp_path / "run"
    moments = random.Random(2012)
    kills = 0
    while not (run / "result.json").exists():
        before = checkpoint_time(run)
        child = children.Process(target=train_or_resume, args=(str(run), precision))
        child.start()
        if kills < 4:
            wait_for_progress(run, before, child)
            time.sleep(moments.uniform(0, 0.2))
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += child.exitcode == -signal.SIGKILL
        assert child.exitcode in (0, -signal.SIGKILL)
    assert kills >= 1, "the run was over before it could be killed: train it for longer"
    assert_same_run(run, whole)


def checkpoint_time(run: Path) -> int:
    state = run / "checkpoint" / "state.pt"
    return state.stat().st_mtime_ns if state.exists() else 0


def wait_for_progress(run: Path, before: int, child: Any) -> None:
    """Wait until the child has written a checkpoint of its own, so that each kill comes in the midst of training."""
    deadline = time.monotonic() + 900  # only a hang takes as long
    while child.is_alive() and checkpoint_time(run) == before:
        assert time.monotonic() < deadline, "the run wrote no checkpoint"
        time.sleep(0.002)


class StopAfter(training.Observer):
    """Sends this process a signal after so many reports."""

    def __init__(self, reports: int, number: int) -> None:
        self.left, self.number = reports, number

    def on_progress(self, progress: training.Progress) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("steps", "number"), [(1, signal.SIGINT), (20, signal.SIGTERM), (37, signal.SIGINT)])
def test_a_signal_saves_and_stops(
    reference: tuple[str, Path], steps: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precision, whole = reference
    monkeypatch.setattr(control, "_REPORT_EVERY_S", 0.0)
    run, handler = tmp_path / "run", signal.getsignal(signal.SIGINT)
    with pytest.raises(training.Interrupted, match="alexnet train --resume") as stopped:
        training.train(recipe(precision), out=run, observer=StopAfter(steps, number))
    assert stopped.value.signal == number
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (run / "result.json").exists()
    training.resume(run)
    assert_same_run(run, whole)


def test_threads_and_schedule_state_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plateau counts from the rows, AdamW from its own state: neither starts anew."""
    monkeypatch.setattr(control, "_REPORT_EVERY_S", 0.0)
    ours = replace(
        recipe("fp32"),
        epochs=4,
        accumulate_steps=2,
        grad_clip_norm=1.0,
        optimizer=OptimizerConfig(name="adamw", lr=1e-3),
        schedule=ScheduleConfig(name="plateau", patience_epochs=1, factor=0.5),
    )
    whole, run = tmp_path / "whole", tmp_path / "run"
    training.train(ours, out=whole)
    with pytest.raises(training.Interrupted):
        training.train(ours, out=run, observer=StopAfter(70, signal.SIGINT))
    training.resume(run)
    assert_same_run(run, whole)


VARIED = AugmentConfig(flip="alternating", cutout_px=5, crop_padding_px=2, crop_border="reflect")
VARIANTS: dict[str, dict[str, Any]] = {
    "muon": {
        "model": ModelConfig(name="lenet", dropout=0.3, whiten=True),
        "optimizer": OptimizerConfig(name="muon", lr=0.05, other_lr=0.02),
    },
    "the paper's rule, the rate dropping": {
        "optimizer": OptimizerConfig(name="sgd_2012", lr=0.02, bias_lr=0.04),
        "schedule": ScheduleConfig(name="step", step_epochs=(1,)),
    },
    "varied images": {"augment": VARIED},
    "batch norm, smaller images first, in parts": {
        "model": ModelConfig(name="cifar_alexnet", dropout=0.3),
        "augment": VARIED,
        "train_px": (9, 12, 16),
        "accumulate_steps": 3,
    },
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_resumed_to_the_bit(
    variant: dict[str, Any], small_data: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within an epoch, after its last step, and at its end."""
    data = small_data(32, n_val=6)
    monkeypatch.setattr(control, "_REPORT_EVERY_S", 0.0)
    monkeypatch.setattr("alexnet.evaluation.finish.write_report", lambda *_: None)  # half of the time
    changes = {"model": ModelConfig(name="lenet", dropout=0.3), **variant}
    ours = replace(recipe("fp32"), data="striped", batch_size=8, checkpoint_every_s=60.0, open_test=False, **changes)
    whole = training.train(ours, data, out=tmp_path / "whole")
    for reports in (3, 4, 5):
        run = tmp_path / str(reports)
        with pytest.raises(training.Interrupted):
            training.train(ours, data, out=run, observer=StopAfter(reports, signal.SIGINT))
        training.resume(run, data=data)
        assert_same_run(run, whole)


def test_a_finished_run_is_left_alone(reference: tuple[str, Path]) -> None:
    _, run = reference
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert training.resume(run) == run
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_changed_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_REPORT_EVERY_S", 0.0)
    run = tmp_path / "run"
    with pytest.raises(training.Interrupted):
        training.train(recipe("fp32"), out=run, observer=StopAfter(3, signal.SIGINT))
    values = json.loads((run / "recipe.json").read_text())
    values["data"]["fingerprint"] = "00000000"
    (run / "recipe.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="not those"):
        training.resume(run)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe\.json"):
        training.resume(tmp_path)
