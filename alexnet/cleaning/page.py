"""The page of what was found: one HTML file, each photograph with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from alexnet.cleaning.find import Findings
from alexnet.data import decode_image
from alexnet.errors import UserError
from alexnet.evaluation.report import render
from alexnet.evaluation.report.pictures import data_uri

_MOST_SUSPECTS, _MOST_GROUPS = 60, 40
_SIDE_PX = 160


def write_page(path: str | Path, found: Findings) -> None:
    """Write `found` as a page that needs no other file and no network.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    likely = found.likely_wrong()
    render(
        path,
        Path(__file__).parent / "clean.html.jinja",
        found=found,
        groups=[
            (is_exact, [(file, _picture(found.path / file)) for file in files])
            for files, is_exact in found.groups[:_MOST_GROUPS]
        ],
        likely=len(likely),
        suspects=[(each, _picture(found.path / each.file)) for each in found.suspects[:_MOST_SUSPECTS]],
    )


def _picture(file: Path) -> Any:
    """A thumbnail as a `data:` URI; None where the file cannot be read."""
    try:
        image = decode_image(file, image_px=_SIDE_PX).convert("RGB")
    except UserError:
        return None
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    return data_uri(np.asarray(image))
