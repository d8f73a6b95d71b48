"""Checkpoints are whole or absent, and reading one executes nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training import checkpoint


def state(epoch: int = 3) -> checkpoint.TrainingState:
    return checkpoint.TrainingState(
        epoch=epoch,
        step=7,
        elapsed_s=1.5,
        totals={"loss": torch.tensor(2.0, dtype=torch.float64)},
        rows=[{"epoch": 1, "val_top1": None, "lr": 0.1}],
        model={"w": torch.arange(6.0).view(1, 2, 3, 1).to(memory_format=torch.channels_last)},
        optimizers=[{"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        average=[torch.zeros(2)],
        scaler={},
        rng_cpu=torch.get_rng_state(),
        rng_device=None,
    )


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    checkpoint.save(path, state())
    back = checkpoint.load(path)
    assert (back.epoch, back.step, back.elapsed_s, back.rows) == (
        3,
        7,
        1.5,
        [{"epoch": 1, "val_top1": None, "lr": 0.1}],
    )
    assert torch.equal(back.model["w"], state().model["w"])
    assert back.model["w"].is_contiguous(memory_format=torch.channels_last)
    assert back.optimizers[0]["param_groups"] == [{"lr": 0.1, "params": [0]}]
    assert torch.equal(back.rng_cpu, torch.get_rng_state())


def test_a_failed_write_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    checkpoint.save(path, state(epoch=1))

    def full_disk(values: Any, part: Path) -> None:
        part.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/3")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="the disk may be full"):
        checkpoint.save(path, state(epoch=2))
    assert checkpoint.load(path).epoch == 1
    assert [file.name for file in path.parent.iterdir()] == ["state.pt"]


class Exploit:
    def __reduce__(self) -> Any:
        return (Path("/").joinpath, ("owned",))


@pytest.mark.parametrize("content", [b"", b"torn", pickle.dumps(Exploit())])
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        checkpoint.load(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"format": 99}, path)
    with pytest.raises(UserError, match="another version"):
        checkpoint.load(path)


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was trained yet"):
        checkpoint.load(tmp_path / "run" / "checkpoint" / "state.pt")
