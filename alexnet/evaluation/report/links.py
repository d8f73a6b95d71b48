"""Links from a report to the other pages of its run folder."""

from __future__ import annotations

import re
from pathlib import Path

from alexnet.evaluation.report.words import WORDS
from alexnet.files import atomic_write
from alexnet.language import Words

EXPLORER, EXPLAIN = "explorer.html", "explain/explain.html"
"""Where the pages lie in a run folder."""
_KEYS = {EXPLORER: "link_explorer", EXPLAIN: "link_explain"}
_PLACE = re.compile(r'<nav class="pages">.*?</nav>', re.DOTALL)


def add_links(report: Path) -> None:
    """Let a report link to those other pages of its folder that are there; one without a place for it stays as it is.

    Raises:
        OSError: it cannot be read or written.
    """
    words = Words(WORDS)
    links = [f'<a href="{page}">{words(key)}</a>' for page, key in _KEYS.items() if (report.parent / page).is_file()]
    html = report.read_text(encoding="utf-8")
    linked = _PLACE.sub(lambda _: f'<nav class="pages">{" ".join(links)}</nav>', html, count=1)
    if linked != html:
        with atomic_write(report) as part:
            part.write_text(linked, encoding="utf-8")
