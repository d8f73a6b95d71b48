"""What resuming to the bit needs, in one file that is either whole or absent."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from alexnet.errors import UserError
from alexnet.files import atomic_write

_FORMAT = 1


@dataclass(kw_only=True)
class TrainingState:
    """A point of a run, as tensors and plain values only."""

    epoch: int
    """Finished epochs."""
    step: int
    """Finished steps of the epoch under way."""
    elapsed_s: float
    """Seconds trained so far, over all parts of the run."""
    totals: dict[str, torch.Tensor]
    """Sums of the epoch under way."""
    rows: list[dict[str, Any]]
    """Rows of metrics.jsonl, one a finished epoch."""
    model: dict[str, torch.Tensor]
    optimizers: list[dict[str, Any]]
    average: list[torch.Tensor] | None
    scaler: dict[str, Any]
    rng_cpu: torch.Tensor
    rng_device: torch.Tensor | None
    rng_others: list[list[torch.Tensor | None]] = field(default_factory=list)
    """The same two of ranks 1, 2, ... of a run in several processes."""


def save(path: Path, state: TrainingState) -> None:
    """Write `state` to `path`; the file before it stays until this one is on disk.

    Raises:
        OSError: it cannot be written; the disk may be full.
    """
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as part:
        try:
            torch.save({"format": _FORMAT, **_values(state)}, part)
        except RuntimeError as error:  # what torch makes of a failed write
            raise OSError(errno.EIO, f"writing failed, the disk may be full ({error})", str(path)) from error


def _values(state: TrainingState) -> dict[str, Any]:
    """Its fields; a run in one process leaves out what versions before many did not know."""
    values = dict(vars(state))
    if not state.rng_others:
        del values["rng_others"]
    return values


def load(path: Path) -> TrainingState:
    """Read a state back, on the CPU, executing nothing (`weights_only`).

    Raises:
        UserError: there is no checkpoint, or it is not one of this version.
    """
    if not path.is_file():
        raise UserError(
            f"{path.parent.parent} holds no checkpoint, so nothing was trained yet: start it again with --overwrite"
        )
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"cannot read the checkpoint {path}: {error}") from error
    if values.pop("format", None) != _FORMAT:
        raise UserError(f"the checkpoint {path} was written by another version of alexnet")
    return TrainingState(**values)


def device_rng(device: torch.device) -> torch.Tensor | None:
    """State of the device's own random numbers; None where the CPU's are all there is."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def set_device_rng(device: torch.device, state: torch.Tensor | None) -> None:
    """Put back what `device_rng` gave."""
    if state is None:
        return
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)


def restore_rng(state: TrainingState, rank: int, device: torch.device) -> None:
    """Let torch's generators go on where those of `rank` were."""
    of_cpu, of_device = [[state.rng_cpu, state.rng_device], *state.rng_others][rank]
    assert of_cpu is not None
    torch.set_rng_state(of_cpu)
    set_device_rng(device, of_device)
