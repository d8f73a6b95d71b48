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
from alexnet.cli.words import WORDS
from alexnet.language import Words

if TYPE_CHECKING:
    from alexnet.start import Look, Plan

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
    from alexnet.evaluation.report import EXPLORER
    from alexnet.run_folder import RunFolder

    words = Words(WORDS)
    where = out or starting.default_out(folder)
    state = starting.begun(where)
    with counting(words.plain("looking")) as on_progress:
        found = starting.look(folder, on_progress)
    _describe(found, words)
    if minutes is None and state == "finished" and starting.is_known(found, where):
        show.line(words.plain("nothing_new", run=where, report=where / "report.html"))
        show.result(RunFolder(where))
        return OK
    pretrained = "small"
    if state == "finished":
        pretrained = str(where)
        show.line(words.plain("goes_on", run=where))
    chosen = starting.plan(found, starting.DEFAULT_MINUTES if minutes is None else minutes, pretrained, device)
    _describe_plan(chosen, pretrained, len(found.folder.splits["train"].paths), words)
    run = starting.train(found, chosen, where, observe(track=False))
    show.result(RunFolder(run))
    show.line(words.plain("explorer", path=run / EXPLORER))
    _say_what_next(run, folder, chosen, words)
    report = run / "report.html"
    if open and _has_display():
        import webbrowser

        webbrowser.open(report.resolve().as_uri())
    return OK


def _describe(found: Look, words: Words) -> None:
    counts = found.counts()
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    how_many = {"images": sum(counts.values()), "classes": len(counts)}
    if counts[fewest] == counts[most]:
        show.line(words.plain("found_even", **how_many, each=counts[most]))
    else:
        of_each = {"fewest": counts[fewest], "fewest_name": fewest, "most": counts[most], "most_name": most}
        show.line(words.plain("found_uneven", **how_many, **of_each))
    sizes = [words.plain(name, n=len(files.paths)) for name, files in found.folder.splits.items()]
    show.line(words.plain("split", sizes=words.listed(sizes)))
    _list("unreadable", [f"{each.path}: {each.reason}" for each in found.bad], words)
    suspects = [words.plain("suspect", file=each.file, class_name=each.suggested) for each in found.suspects]
    _list("suspects", suspects, words)
    _list("duplicates", [" = ".join(files) for files, _ in found.groups], words)
    _list("leaks", [" = ".join(files) for files in found.leaks()], words)


def _list(what: str, lines: Sequence[str], words: Words) -> None:
    if not lines:
        return
    show.line(words.plain(what, n=len(lines)))
    for line in lines[:_NAMED]:
        show.line(f"  {line}")
    if len(lines) > _NAMED:
        show.line("  " + words.plain("more", n=len(lines) - _NAMED))


def _describe_plan(chosen: Plan, pretrained: str, images: int, words: Words) -> None:
    seconds = chosen.seconds
    duration = words.plain(
        "seconds" if seconds < 90 else "minutes", n=round(seconds if seconds < 90 else seconds / 60)
    )
    said = words.plain(
        "plan" if chosen.fine_tunes else "plan_probe",
        model=pretrained,
        n=chosen.recipe.epochs,
        images=images,
        duration=duration,
    )
    show.line(said + (words.plain("balanced") if chosen.balanced else ""))


def _say_what_next(run: Path, folder: Path, chosen: Plan, words: Words) -> None:
    show.line(words.plain("next"))
    show.line(f"  alexnet predict {run} PHOTO ...      {words.plain('next_predict')}")
    show.line(f"  alexnet evaluate {run} --data {folder}      {words.plain('next_evaluate')}")
    page = run / "explorer.html"
    show.line(f"  alexnet export {run} {page} --to explorer --data {folder}      {words.plain('next_explorer')}")
    if chosen.fine_tunes:
        show.line(f"  alexnet start {folder} --minutes 20      {words.plain('next_go_on')}")
    else:
        show.line(f"  alexnet start {folder}      {words.plain('next_more')}")


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
