"""`alexnet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from alexnet.cli.commands.common import OptionalPath
from alexnet.cli.commands.explorer import export_to_explorer


def export(
    model: Positional[Path],
    out: Positional[Path],
    *,
    to: Literal["explorer"],
    data: str | None = None,
    root: OptionalPath = None,
    compare: OptionalPath = None,
    int8: bool = False,
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
        int8: For the explorer: weights of 8 bits, half the size and coarser answers.
        overwrite: Replace an existing file.
    """
    assert to == "explorer"
    return export_to_explorer(model, out, data=data, root=root, compare=compare, int8=int8, overwrite=overwrite)
