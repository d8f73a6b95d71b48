"""A run folder that a process writes is not another's to write, and damage is not trained on."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from alexnet import data, lock, recipes, training
from alexnet.config import ModelConfig
from alexnet.errors import Interrupted, UserError
from alexnet.training import control

HOLDER = """
import sys
from alexnet import lock
with lock.hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[int]:
    """Number of a process that holds `tmp_path / "run"`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


class Stop(training.Observer):
    """Stops the run after so many reports."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def on_progress(self, progress: training.Progress) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted("stopped", 2)


def recipe() -> Any:
    model = ModelConfig(name="lenet")
    return replace(recipes.digits(), data="striped", epochs=4, batch_size=8, threads=1, model=model, open_test=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_live_run_is_not_replaced(
    holder: int, overwrite: bool, small_data: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"in use by process {holder} on host"):
        training.train(recipe(), small_data(32, n_val=6), out=tmp_path / "run", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [lock.NAME]


def test_a_damaged_checkpoint_is_not_trained_on(
    small_data: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The one before it is taken, which is said, and the weights are those of a run without any damage."""
    monkeypatch.setattr(control, "_REPORT_EVERY_S", 0.0)
    images = small_data(32, n_val=6)
    whole = training.train(recipe(), images, out=tmp_path / "whole")
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        training.train(recipe(), images, out=run, observer=Stop(14))
    kept = training.RunFolder(run)
    assert kept.previous_checkpoint.is_file()
    assert not (run / lock.NAME).exists()
    (kept.checkpoint.parent / ".state.pt.0123abcd.tmp").write_bytes(b"half")  # what kill -9 can leave
    content = bytearray(kept.checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    kept.checkpoint.write_bytes(content)
    with caplog.at_level(logging.WARNING, "alexnet"):
        training.resume(run, data=images)
    assert "cannot read the checkpoint" in caplog.text
    ours, theirs = load_file(run / "model.safetensors"), load_file(whole / "model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert len(kept.read_metrics()) == 4
    assert not list(run.rglob("*.tmp"))


def test_a_test_split_without_images_is_refused_before_training(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "pets" / name / "only.png")
    ours = replace(recipe(), data=str(tmp_path / "pets"), val_fraction=0.0, open_test=True)
    with pytest.raises(UserError, match="has no test images"):
        training.train(ours, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_is_packed_by_one_process(holder: int, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "pets" / name / f"{i}.png")
    with pytest.raises(UserError, match=f"in use by process {holder} on host"):
        data.pack(tmp_path / "pets", tmp_path / "run", processes=1)
