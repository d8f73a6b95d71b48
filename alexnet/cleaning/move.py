"""Files set aside: moved below the folder itself, never deleted, and put back on request."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from alexnet.cleaning.find import Findings
from alexnet.data.sources.layout import SET_ASIDE
from alexnet.errors import UserError
from alexnet.files import write_json

_JOURNAL = "moved.json"


def proposed(found: Findings) -> dict[str, Any]:
    """What `apply` takes, as plain JSON values; entries of files that should stay can be deleted.

    Broken files, all but the first of files with the same bytes, and photographs whose label is likely wrong.
    """
    moves = [
        {"file": str(Path(each.path).relative_to(found.path)), "why": f"cannot be read: {each.reason}"}
        for each in found.bad
        if Path(each.path).is_file()
    ]
    moves += [
        {"file": file, "why": f"the same bytes as {files[0]}"}
        for files, is_exact in found.groups
        if is_exact
        for file in files[1:]
    ]
    known = {move["file"] for move in moves}
    moves += [
        {"file": suspect.file, "why": f"looks like {suspect.suggested}, not {suspect.label}"}
        for suspect in found.likely_wrong()
        if suspect.file not in known
    ]
    return {"folder": str(found.path), "moves": moves}


def apply(moves_file: str | os.PathLike[str], folder: str | os.PathLike[str]) -> int:
    """Move the files that `moves_file` lists into `_set_aside/` in `folder`; returns how many.

    Each keeps its path below that, and `moved.json` there says how to put it back.

    Raises:
        UserError: the file cannot be read, is of another folder, or names a path outside of it; nothing was moved.
    """
    root = Path(folder).expanduser().resolve()
    try:
        values = json.loads(Path(moves_file).read_text(encoding="utf-8"))
        of, names = Path(values["folder"]), [str(move["file"]) for move in values["moves"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read the moves in {moves_file}: {error}") from error
    if of.resolve() != root:
        raise UserError(f"{moves_file} is for {of}, not for {root}")
    for name in names:
        if not (root / name).resolve().is_relative_to(root) or Path(name).is_absolute():
            raise UserError(f"{moves_file} names {name}, which is not in {root}")
    aside = root / SET_ASIDE
    journal = _journal(aside)
    moved = 0
    for name in dict.fromkeys(names):
        source, target = root / name, aside / name
        if not source.is_file():  # moved before
            continue
        if target.exists():
            raise UserError(f"{target} exists already: undo the earlier moves first, or remove it")
        target.parent.mkdir(parents=True, exist_ok=True)
        journal.append(name)
        write_json(aside / _JOURNAL, journal)  # before the move, so that no file is lost from sight
        source.rename(target)
        moved += 1
    return moved


def undo(folder: str | os.PathLike[str]) -> int:
    """Put back what was set aside; returns how many files.

    Raises:
        UserError: nothing was set aside, or a file lies where one is to be put back; the others are put back.
    """
    root = Path(folder).expanduser().resolve()
    aside = root / SET_ASIDE
    journal = _journal(aside)
    if not journal:
        raise UserError(f"nothing of {root} was set aside")
    taken = [name for name in journal if (aside / name).exists() and (root / name).exists()]
    back = 0
    for name in journal:
        if name in taken or not (aside / name).exists():
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).rename(root / name)
        back += 1
    write_json(aside / _JOURNAL, taken)
    if taken:
        raise UserError(f"{root / taken[0]} exists, so it was not put back from {SET_ASIDE}/; the others were")
    (aside / _JOURNAL).unlink()
    for below in sorted(aside.rglob("*"), reverse=True):
        if below.is_dir() and not any(below.iterdir()):
            below.rmdir()
    if not any(aside.iterdir()):
        aside.rmdir()
    return back


def _journal(aside: Path) -> list[str]:
    file = aside / _JOURNAL
    return [str(name) for name in json.loads(file.read_text(encoding="utf-8"))] if file.is_file() else []
