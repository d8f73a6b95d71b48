"""`alexnet export --to explorer`."""

from __future__ import annotations

from pathlib import Path

from alexnet.cli import show
from alexnet.cli.commands.common import OK
from alexnet.errors import UserError


def export_to_explorer(
    model: Path,
    out: Path,
    *,
    data: str | None,
    root: Path | None,
    compare: Path | None,
    int8: bool,
    overwrite: bool,
) -> int:
    """Write the page; the arguments are those of the command."""
    from alexnet.cli.progress import counting
    from alexnet.evaluation.report import EXPLORER, add_links
    from alexnet.export.explorer import export_explorer
    from alexnet.run_folder import RunFolder

    if out.exists() and not overwrite:
        raise UserError(f"{out} exists: name another file, or pass --overwrite")
    if data is None and root is not None:
        raise UserError("--root says where the files of --data are: name a source with --data")
    with counting("looking for patches") as on_progress:
        written = export_explorer(
            model,
            out,
            data=data,
            root=root,
            compare=compare,
            weights="int8" if int8 else "int16",
            on_progress=on_progress,
        )
    report = RunFolder(out.parent).report
    if out.name == EXPLORER and report.is_file():
        add_links(report)
    images = (
        f", patches from {written.images:,} images" if written.images else ", without a data set (--data adds it)"
    )
    show.line(f"{written.path}: {written.bytes / 1e6:.2f} MB{images}; open it in a browser")
    return OK
