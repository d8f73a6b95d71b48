"""Checkpoints are whole or absent, and reading one executes nothing."""

from __future__ import annotations

import os
import pickle
import random
import zipfile
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
        rows=[{"epoch": 1 + i, "val_top1": None, "lr": 0.1} for i in range(epoch)],
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
    assert (back.epoch, back.step, back.elapsed_s, back.rows) == (3, 7, 1.5, state().rows)
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


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def same(a: checkpoint.TrainingState, b: checkpoint.TrainingState) -> bool:
    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.dtype, value.tolist()
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    return bool(plain(vars(a)) == plain(vars(b)))


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    checkpoint.save(path, state())
    written, whole = path.read_bytes(), checkpoint.read(path)
    found = 0
    for bit in random.Random(2012).sample(range(8 * len(written)), 1000):
        path.write_bytes(flipped(written, bit))
        try:
            assert same(checkpoint.read(path), whole), f"bit {bit} was read as something else"
        except checkpoint.DamagedError:
            found += 1
    assert found >= 990  # the rest lie in the mark before the checksum: then each member's CRC is compared


def test_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    checkpoint.save(path, state())
    written = path.read_bytes()
    for part in range(50):
        path.write_bytes(written[: part * len(written) // 50])
        with pytest.raises(checkpoint.DamagedError, match="cannot read the checkpoint"):
            checkpoint.read(path)


def test_the_one_before_is_kept_and_taken_where_the_last_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    for epoch in (1, 2, 3):
        checkpoint.save(path, state(epoch))
    assert [checkpoint.read(each).epoch for each in (path, checkpoint.previous_of(path))] == [3, 2]
    assert sorted(file.name for file in path.parent.iterdir()) == ["previous.pt", "state.pt"]
    path.write_bytes(flipped(path.read_bytes(), 8 * 1000))
    assert checkpoint.load(path).epoch == 2
    assert f"cannot read the checkpoint {path}: it is damaged" in caplog.text
    assert "Going on from the checkpoint before it, of epoch 3, step 7" in caplog.text
    # The damaged one is gone, so that the next save cannot make it the previous one.
    assert sorted(file.name for file in path.parent.iterdir()) == ["state.pt"]
    assert checkpoint.load(path).epoch == 2


def test_both_damaged(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    for epoch in (1, 2):
        checkpoint.save(path, state(epoch))
    for each in (path, checkpoint.previous_of(path)):
        each.write_bytes(each.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"state\.pt(.|\n)*previous\.pt"):
        checkpoint.load(path)


def test_one_that_is_missing_is_made_up_for(tmp_path: Path) -> None:
    """A kill between the two renames of a file system without links leaves the previous one alone."""
    path = tmp_path / "checkpoint" / "state.pt"
    for epoch in (1, 2):
        checkpoint.save(path, state(epoch))
    path.unlink()
    assert checkpoint.load(path).epoch == 1


def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "checkpoint" / "state.pt"
    for epoch in (1, 2):
        checkpoint.save(path, state(epoch))
    assert [checkpoint.read(each).epoch for each in (path, checkpoint.previous_of(path))] == [2, 1]


def test_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    checkpoint.save(path, state())
    assert torch.load(path, weights_only=True)["epoch"] == 3
    assert zipfile.ZipFile(path).testzip() is None


def test_earlier_versions_wrote_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    values = {"format": 1, **vars(state())}
    del values["rng_others"]
    torch.save(values, path)
    assert checkpoint.load(path).epoch == 3
    written = path.read_bytes()
    path.write_bytes(written.replace(b"\x00\x00\x80\x3f", b"\x00\x00\x80\x3e", 1))  # 1.0 to 0.25
    assert path.read_bytes() != written
    with pytest.raises(UserError, match="it is damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": -5}, "of epoch -5"),
        ({"step": -1}, "step -1"),
        ({"elapsed_s": float("nan")}, "after nan s"),
        ({"epoch": "3"}, "its epoch is of type str"),
        ({"epoch": True}, "its epoch is of type bool"),
        ({"rows": None}, "its rows is of type NoneType"),
        ({"rows": []}, "0 rows of metrics after 3 epochs"),
        ({"model": [1]}, "its model is of type list"),
        ({"rng_cpu": None}, "its rng_cpu is of type NoneType"),
        ({"more": 1}, "it holds more, which no checkpoint has"),
    ],
)
def test_states_that_no_run_has_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"format": 1, **vars(state()), **changes}, path)
    with pytest.raises(UserError, match=message):
        checkpoint.load(path)


def test_lacking_entries_are_named(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    for name in ("epoch", "model", "optimizers", "rng_cpu"):
        values = {"format": 1, **vars(state())}
        del values[name]
        torch.save(values, path)
        with pytest.raises(UserError, match=f"it lacks {name}"):
            checkpoint.load(path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="by another program"):
        checkpoint.load(path)
