"""The page of what was found: one HTML file, each photograph with its name."""

from __future__ import annotations

from pathlib import Path

from alexnet.cleaning.find import Findings
from alexnet.evaluation.report import render
from alexnet.evaluation.report.pictures import thumbnail, with_pictures
from alexnet.evaluation.report.words import WORDS
from alexnet.language import Words

_MOST_SUSPECTS, _MOST_GROUPS = 60, 40


def write_page(path: str | Path, found: Findings) -> None:
    """Write `found` as a page that needs no other file and no network.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    render(
        path,
        Path(__file__).parent / "clean.html.jinja",
        t=Words(WORDS),
        found=found,
        groups=[(is_exact, with_pictures(found.path, files)) for files, is_exact in found.groups[:_MOST_GROUPS]],
        likely=len(found.likely_wrong()),
        suspects=[(each, thumbnail(found.path / each.file)) for each in found.suspects[:_MOST_SUSPECTS]],
    )
