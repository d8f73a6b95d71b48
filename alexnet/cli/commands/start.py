"""`alexnet start`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath
from alexnet.text import counted

if TYPE_CHECKING:
    from alexnet.start import Look

_NAMED = 5


def start(
    folder: Positional[Path],
    *,
    minutes: float | None = None,
    out: OptionalPath = None,
    open: bool = True,
    device: str = "auto",
) -> int:
    """Train on a folder of photographs, a folder a class, and open the report: alexnet start FOLDER.

    Looks for broken files and duplicates, splits the photographs without leaking, fine-tunes the network `small` that
    comes with alexnet, calibrates it and measures it on photographs it never saw. Nothing leaves this computer. Run
    it again after adding photographs: it goes on from what it learned.

    Args:
        folder: FOLDER/CLASS/*.jpg, or FOLDER/train/CLASS/* and FOLDER/test/CLASS/*.
        minutes: Time that training may take, about; default: 5, and where nothing is new since FOLDER was trained on,
            none.
        out: Run folder to write; default: runs/<the folder's name>.
        open: Open the report in the browser at the end.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from alexnet import start as starting
    from alexnet.cli.progress import counting, observe
    from alexnet.run_folder import RunFolder

    where = out or starting.default_out(folder)
    state = starting.begun(where)
    with counting("looking at the photographs") as on_progress:
        found = starting.look(folder, on_progress)
    _describe(found)
    if minutes is None and state == "finished" and starting.is_known(found, where):
        show.line(f"nothing is new since {where} was trained: its report is {where / 'report.html'}")
        show.result(RunFolder(where))
        return OK
    pretrained = "small"
    if state == "finished":
        pretrained = str(where)
        show.line(f"goes on from {where}, which will be kept as {where}.previous")
    chosen = starting.plan(found, starting.DEFAULT_MINUTES if minutes is None else minutes, pretrained, device)
    n = len(found.folder.splits["train"].paths)
    show.line(
        f"plan: fine-tune {pretrained} for {counted(chosen.recipe.epochs, 'epoch')} on {counted(n, 'image')}, about "
        f"{_duration(chosen.seconds)}" + (", uneven classes shown equally often" if chosen.balanced else "")
    )
    run = starting.train(found, chosen, where, observe(track=False))
    show.result(RunFolder(run))
    _say_what_next(run, folder)
    report = run / "report.html"
    if open and _has_display():
        import webbrowser

        webbrowser.open(report.resolve().as_uri())
    return OK


def _describe(found: Look) -> None:
    counts = found.counts()
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    each = f"from {counts[fewest]:,} ({fewest}) to {counts[most]:,} ({most})"
    if counts[fewest] == counts[most]:
        each = f"{counts[most]:,} of each"
    show.line(f"found {counted(sum(counts.values()), 'image')} of {counted(len(counts), 'class')}: {each}")
    sizes = ", ".join(f"{len(files.paths):,} {name}" for name, files in found.folder.splits.items())
    show.line(f"split: {sizes}")
    _list("left out, as they cannot be read", [f"{each.path}: {each.reason}" for each in found.bad])
    _list("show one picture", [" = ".join(files) for files, _ in found.groups])
    _list(
        "look like another class than the one they lie in",
        [f"{each.file}: like {each.suggested}" for each in found.suspects],
    )
    _list("show one picture in two classes: decide which it is", [" = ".join(files) for files in found.leaks()])


def _list(what: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    show.line(f"{len(lines):,} {what}:")
    for line in lines[:_NAMED]:
        show.line(f"  {line}")
    if len(lines) > _NAMED:
        show.line(f"  ... and {len(lines) - _NAMED:,} more")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _say_what_next(run: Path, folder: Path) -> None:
    show.line("next:")
    show.line(f"  alexnet predict {run} PHOTO ...      what is on other photographs")
    show.line(f"  alexnet evaluate {run} --data {folder}      measure again, or on another folder")
    show.line(f"  alexnet start {folder} --minutes 20      go on, with more photographs or more time")


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
