"""`alexnet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath
from alexnet.errors import UserError


def export(
    model: Positional[Path],
    out: Positional[Path],
    *,
    to: Literal["explorer"],
    data: str | None = None,
    root: OptionalPath = None,
    compare: OptionalPath = None,
    weights: Literal["int16", "int8"] = "int16",
    overwrite: bool = False,
) -> int:
    """Write a trained network in another form.

    Args:
        model: Run folder, .safetensors file, or the name of a network that comes with alexnet.
        out: File to write.
        to: explorer: one HTML file that opens from disk, computes in the page and shows the net at work.
        data: For the explorer: where its example images and patches come from, a source's name (cifar10, ...) or a
            folder of class folders.
        root: Folder with the source's files, where they are not in the default place.
        compare: For the explorer: a second network for the same images, shown at a switch.
        weights: For the explorer: int16, or int8 for half the size and coarser answers.
        overwrite: Replace an existing file.
    """
    from alexnet.cli.progress import counting
    from alexnet.export.explorer import export_explorer

    if out.exists() and not overwrite:
        raise UserError(f"{out} exists: name another file, or pass --overwrite")
    with counting("looking for patches") as on_progress:
        written = export_explorer(
            model, out, data=data, root=root, compare=compare, weights=weights, on_progress=on_progress
        )
    images = (
        f", patches from {written.images:,} images" if written.images else ", without a data set (--data adds it)"
    )
    show.line(f"{written.path}: {written.bytes / 1e6:.2f} MB{images}; open it in a browser")
    return OK
