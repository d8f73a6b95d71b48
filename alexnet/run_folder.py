"""The run folder: the one thing that passes between commands."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from alexnet import lock
from alexnet.config import Recipe
from alexnet.errors import UserError
from alexnet.files import atomic_write, write_json
from alexnet.plain import from_dict


class Named(Protocol):
    """A recipe of any kind."""

    @property
    def name(self) -> str:
        """What its runs are called."""


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """Everything needed to repeat the run."""
        return self.path / "recipe.json"

    @property
    def metrics(self) -> Path:
        """A row an epoch, or a setting tried."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """What resume needs."""
        return self.path / "checkpoint" / "state.pt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before that one, which is taken where that one is damaged."""
        return self.path / "checkpoint" / "previous.pt"

    @property
    def model(self) -> Path:
        """The final weights."""
        return self.path / "model.safetensors"

    @property
    def result(self) -> Path:
        """Figures on the test split, or on the held-out images where that one stays closed."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return self.path / "report.html"

    def has_checkpoint(self) -> bool:
        """Whether there is something to resume from."""
        return self.checkpoint.is_file() or self.previous_checkpoint.is_file()

    def remove_parts(self) -> None:
        """Remove what killed processes left half-written; call it only while the folder is locked."""
        for folder in (self.path, self.checkpoint.parent):
            for part in folder.glob(".*.tmp"):
                part.unlink(missing_ok=True)

    def read_recipe(self) -> tuple[Recipe, dict[str, Any]]:
        """The recipe of a network's training, and the whole of recipe.json.

        Raises:
            UserError: this is no run folder, it holds a baseline, or its recipe.json cannot be read.
        """
        values = self.read_values()
        try:
            if values.get("kind") == "baseline":
                raise UserError("it holds a baseline, not resumable: run `alexnet baseline NAME --overwrite`")
            return from_dict(Recipe, values["recipe"]), values
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"cannot read {self.recipe}: {error}") from error

    def read_values(self) -> dict[str, Any]:
        """The whole of recipe.json, of a network or a baseline; raises `UserError` where it cannot be read."""
        if not self.recipe.is_file():
            raise UserError(f"{self.path} is no run folder: it has no recipe.json")
        try:
            values = json.loads(self.recipe.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise UserError("it should hold an object")
        except ValueError as error:
            raise UserError(f"cannot read {self.recipe}: {error}") from error
        return values

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]

    def write_metrics(self, rows: Sequence[dict[str, Any]]) -> None:
        """Make metrics.jsonl hold just `rows`: a resumed run drops those after its checkpoint."""
        with atomic_write(self.metrics) as part:
            part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one epoch's row."""
        with self.metrics.open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(row) + "\n")


def new_run(out: str | os.PathLike[str] | None, recipe: Named, *, overwrite: bool = False) -> RunFolder:
    """Make an empty run folder, which the caller has locked (`lock.hold`).

    Args:
        out: where; None: `runs/<recipe>-<time>` here.
        recipe: gives the default its name.
        overwrite: remove an earlier run's files at `out`; other files there stay.

    Raises:
        UserError: `out` exists and is not empty, and `overwrite` is not set, or it cannot be written.
    """
    check_overwrite(out, overwrite=overwrite)
    path = Path(out) if out is not None else default_path(recipe)
    folder = RunFolder(path)
    try:
        if overwrite:
            _remove_run(folder)
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create the run folder {path.name} in {path.parent}: {error.strerror}: choose another --out"
        ) from error
    return folder


def begun_by(launch: str | None, out: str | os.PathLike[str] | None, recipe: Recipe) -> RunFolder | None:
    """The run of `recipe` that torchrun's `launch` began before it started its processes again.

    Args:
        launch: as recipe.json names it.
        out: where that run is; None: it is sought in `runs`.
        recipe: what it does; its data and first weights may be named otherwise.
    """
    places = [Path(out)] if out is not None else sorted(Path("runs").glob(f"{recipe.name}-*"))
    for folder in map(RunFolder, places):
        try:
            known, values = folder.read_recipe()
        except UserError:
            continue
        if (
            values.get("launch") == launch
            and replace(known, data=recipe.data, pretrained=recipe.pretrained) == recipe
        ):
            return folder
    return None


def check_overwrite(out: str | os.PathLike[str] | None, *, overwrite: bool) -> None:
    """Raise `UserError` where a run at `out` would hide or replace what is there unless asked to."""
    if out is None or not os.path.lexists(out):
        return
    path = Path(out)
    if not path.is_dir():
        raise UserError(f"--out {path} is a file: name a folder")
    if any(below.name != lock.NAME for below in path.iterdir()) and not overwrite:
        resumable = RunFolder(path).has_checkpoint()
        resume = f"continue that run with `alexnet train --resume {path}`, " if resumable else ""
        raise UserError(f"{path} is not empty: {resume}replace it with --overwrite, or name another --out")


def default_path(recipe: Named) -> Path:
    """`runs/<recipe>-<time>`, where nothing is yet."""
    stem = Path("runs") / f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = stem, 2
    while path.exists():
        path, number = stem.with_name(f"{stem.name}-{number}"), number + 1
    return path


def _remove_run(folder: RunFolder) -> None:
    checkpoints = (folder.checkpoint, folder.previous_checkpoint)
    for part in (folder.recipe, folder.metrics, *checkpoints, folder.model, folder.result, folder.report):
        part.unlink(missing_ok=True)
    folder.remove_parts()


def write_recipe(folder: RunFolder, values: dict[str, Any]) -> None:
    """Write recipe.json."""
    write_json(folder.recipe, values)
