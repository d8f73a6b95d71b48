"""What resuming to the bit needs, in one file that is either whole or absent; the one before it is kept.

The file is one of torch with a checksum at its end, compared before anything is read from it.
"""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from alexnet import checksum
from alexnet.errors import UserError
from alexnet.files import atomic_write

log = logging.getLogger(__name__)

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


def previous_of(path: Path) -> Path:
    """The checkpoint before the one at `path`."""
    return path.with_name("previous.pt")


def save(path: Path, state: TrainingState) -> None:
    """Write `state` to `path`; the file before it is kept as `previous_of(path)`.

    Raises:
        OSError: it cannot be written; the disk may be full.
    """
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as part:
        try:
            torch.save({"format": _FORMAT, **_values(state)}, part)
        except RuntimeError as error:  # what torch makes of a failed write
            raise OSError(errno.EIO, f"writing failed, the disk may be full ({error})", str(path)) from error
        checksum.seal_zip(part)
        _keep(path)


def _keep(path: Path) -> None:
    """Let the present checkpoint be the previous one, under both names until the new one takes its own."""
    if not path.exists():
        return
    second = path.with_name(f".{path.name}.link.tmp")
    try:
        second.unlink(missing_ok=True)
        os.link(path, second)
        second.replace(previous_of(path))
    except OSError:  # a file system without links; `load` knows that only the previous one may be there
        path.replace(previous_of(path))


def _values(state: TrainingState) -> dict[str, Any]:
    """Its fields; a run in one process leaves out what versions before many did not know."""
    values = dict(vars(state))
    if not state.rng_others:
        del values["rng_others"]
    return values


def exists(path: Path) -> bool:
    """Whether there is a checkpoint at `path`, or the one before it."""
    return path.is_file() or previous_of(path).is_file()


def load(path: Path) -> TrainingState:
    """Read the newest sound state back, on the CPU, executing nothing (`weights_only`).

    Where the file is damaged, the one before it is taken, which a warning says, and takes its place.

    Raises:
        UserError: there is no checkpoint, none that is sound, or it is of another version.
    """
    if not exists(path):
        raise UserError(
            f"{path.parent.parent} holds no checkpoint, so nothing was trained yet: start it again with --overwrite"
        )
    previous = previous_of(path)
    if not path.is_file():
        return read(previous)
    try:
        return read(path)
    except DamagedError as error:
        if not previous.is_file():
            raise
        try:
            state = read(previous)
        except DamagedError as second:
            raise UserError(f"{error}\n{second}") from error
        log.warning(
            "%s\nGoing on from the checkpoint before it, of epoch %d, step %d", error, state.epoch + 1, state.step
        )
        previous.replace(path)
        return state


class DamagedError(UserError):
    """A checkpoint that is not what was written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"cannot read the checkpoint {path}: {reason}. Put back a copy, or start again with --overwrite"
        )


def read(path: Path) -> TrainingState:
    """The state in the file at `path` alone.

    Raises:
        DamagedError: it is not what was written.
        UserError: it is of another version.
    """
    try:
        damage = checksum.damage_of_zip(path) if checksum.is_zip(path) else "it is no file of torch"
    except OSError as error:
        raise DamagedError(path, error.strerror or str(error)) from error
    if damage is not None:
        raise DamagedError(path, f"it is damaged ({damage})")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DamagedError(path, (str(error).splitlines() or [type(error).__name__])[0]) from error
    if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
        raise UserError(f"the checkpoint {path} was written by another version of alexnet, or by another program")
    problem = _problem(values)
    if problem is not None:
        raise DamagedError(path, problem)
    return TrainingState(**values)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "epoch": int,
    "step": int,
    "elapsed_s": (int, float),
    "totals": dict,
    "rows": list,
    "model": dict,
    "optimizers": list,
    "average": (list, type(None)),
    "scaler": dict,
    "rng_cpu": torch.Tensor,
    "rng_device": (torch.Tensor, type(None)),
    "rng_others": list,
}


def _problem(values: dict[str, Any]) -> str | None:
    """What keeps `values` from being a state; None: nothing."""
    known = {each.name: each for each in fields(TrainingState)}
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown:
        return f"it holds {', '.join(unknown)}, which no checkpoint has"
    for name, each in known.items():
        if name not in values:
            if each.default_factory is MISSING:
                return f"it lacks {name}"
        elif not isinstance(values[name], _KINDS[name]) or isinstance(values[name], bool):
            return f"its {name} is of type {type(values[name]).__name__}"
    if values["epoch"] < 0 or values["step"] < 0 or not 0 <= values["elapsed_s"] < float("inf"):
        return f"it is of epoch {values['epoch']}, step {values['step']}, after {values['elapsed_s']} s"
    if len(values["rows"]) != values["epoch"] or not all(isinstance(row, dict) for row in values["rows"]):
        return f"it holds {len(values['rows'])} rows of metrics after {values['epoch']} epochs"
    return None


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
