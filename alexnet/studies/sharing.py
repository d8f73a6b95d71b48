"""Runs that two studies of one folder have in common: trained once, measured by each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.plain import to_dict
from alexnet.run_folder import RunFolder
from alexnet.studies.study import AnyRecipe

MEASURED = "measured.json"
"""What a run gave; its presence says that the run is done."""
IMAGES = "images.json"
"""Which images the runs beside it saw."""
_COST = "cost.json"


def holds(folder: RunFolder, recipe: AnyRecipe) -> bool:
    """Whether the run in `folder` is one of `recipe`, on whatever images.

    Raises:
        UserError: `folder` is no run folder.
    """
    kept = folder.read_values()["recipe"]
    asked: dict[str, Any] = json.loads(json.dumps(to_dict(recipe)))
    return {**kept, "data": None} == {**asked, "data": None}


def take(folder: Path, recipe: AnyRecipe) -> None:
    """Copy a finished run of `recipe` from another study to `folder`, STUDIES/NAME/runs/RUN, if there is one.

    The other study is beside this one, saw the same images, and has measured the run; its measurement stays there.
    """
    folder = folder.absolute()  # a relative path may have fewer parents
    if folder.exists():
        return
    for images in sorted(folder.parents[2].glob(f"*/runs/{IMAGES}")):
        if images.parent == folder.parent or images.read_bytes() != (folder.parent / IMAGES).read_bytes():
            continue
        for measured in sorted(images.parent.glob(f"*/{MEASURED}")):
            if _can_be_taken(RunFolder(measured.parent), recipe):
                _copy(measured.parent, folder)
                return


def cost_s(folder: Path) -> float:
    """Processor time that the run in `folder` has cost so far: another study, or processes that were stopped."""
    note = folder / _COST
    return float(json.loads(note.read_text(encoding="utf-8"))["cpu_s"]) if note.is_file() else 0.0


def note_cost(folder: Path, cpu_s: float) -> None:
    """Let `cost_s` return `cpu_s`; a process that is killed outright cannot, and what it spent is not counted."""
    write_json(folder / _COST, {"cpu_s": cpu_s})


def _can_be_taken(folder: RunFolder, recipe: AnyRecipe) -> bool:
    try:
        return folder.result.is_file() and holds(folder, recipe)
    except UserError:
        return False


def _copy(source: Path, folder: Path) -> None:
    """Under another name first, so that a copy is whole or not there."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part, ignore=shutil.ignore_patterns(MEASURED, _COST))
    note_cost(part, json.loads((source / MEASURED).read_text(encoding="utf-8"))["cpu_s"])
    part.rename(folder)
