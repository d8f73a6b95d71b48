"""`alexnet study`."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from alexnet import studies
from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath
from alexnet.errors import UserError


def study(
    name: Positional[studies.StudyName | None] = None,
    *,
    data: str | None = None,
    root: OptionalPath = None,
    out: OptionalPath = None,
    seeds: int | None = None,
    processes: int | None = None,
    quick: bool = False,
    all: bool = False,
    list: bool = False,
) -> int:
    """Test a claim of the paper or the tutorial: alexnet study NAME --data SRC.

    Trains what the claim compares with several seeds and writes study.json, a plot and a page that says whether it
    held. Run it again after a stop to go on.

    Args:
        name: The study, see --list.
        data: Name of a source (cifar10 is what they are made for) or a folder of images of 32 px.
        root: Folder with the source's files, where they are not in the default place.
        out: Folder of the studies, each in its own folder; default: studies, with --quick studies-quick.
        seeds: Runs of each thing compared; default: the study's own, 3 or more; with --quick 1.
        processes: Runs at a time, each on one thread; default: one a CPU.
        quick: A preview in three minutes on two cores, without a verdict.
        all: Every study in order, and a page with the whole story; without --data the page alone, from what has been
            run.
        list: Name the studies, and how long they take.
    """
    folder = out or Path("studies-quick" if quick else "studies")
    if list:
        if name or all or data:
            raise UserError("--list names the studies and runs none: drop everything else")
        show.studies([studies.get(each, quick=quick) for each in studies.NAMES])
        return OK
    if (name is None) != all:
        raise UserError(f"name one study, or pass --all: {', '.join(studies.NAMES)}")
    if data is None and not all:
        raise UserError("name the images: --data cifar10, or a folder")
    if data is not None:
        from alexnet.cli.progress import observe_study

        for each in studies.NAMES if name is None else (name,):
            done = studies.run(
                studies.get(each, quick=quick),
                data,
                root=root,
                out=folder / each,
                seeds=seeds,
                processes=processes,
                observer=observe_study(),
            )
            show.study(done)
    show.line(f"all studies: {studies.write_index(folder)}")
    return OK
