"""Make the tables of verdicts in docs/results.md and docs/zh-TW/results.md anew, from studies/*/study.json.

    python benchmarks/record_studies.py

Studies that have not been run, and previews, are left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from alexnet.studies import page
from alexnet.studies.index import finished

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- studies: begin (benchmarks/record_studies.py) -->", "<!-- studies: end -->"


WORDS = {
    "en": ("claim", "published", "measured (95% interval)", "verdict"),
    "zh": ("主張", "論文或教學的數字", "實測（95% 區間）", "判定"),
}


def table(studies: list[dict[str, Any]], language: str = "en", root: str = "") -> list[str]:
    """Lines of Markdown; none where there is nothing to report. `root`: the way from the page to the repository."""
    rows = [_row(values, language, root) for values in studies if not values["quick"]]
    return ["| {} | {} | {} | {} |".format(*WORDS[language]), "|---|---|---|---|", *rows] if rows else []


def _row(values: dict[str, Any], language: str, root: str) -> str:
    measured = "<br>".join(f"{row['text'][language]}: {page.compared(row, values)}" for row in values["comparisons"])
    if language == "zh":
        measured = re.sub(r": (?=[-\d])", "：", measured).replace(" to ", " 到 ")
    claim = f"[{values['title'][language]}]({root}studies/{values['name']}/study.json)"
    verdict = page.VERDICTS[values["verdict"]][language]
    return f"| {claim} | {values['published'][language]} | {measured} | **{verdict}** |"


def main() -> None:
    studies = finished(ROOT / "studies")
    for path, language, root in (("docs/results.md", "en", "../"), ("docs/zh-TW/results.md", "zh", "../../")):
        file = ROOT / path
        text = file.read_text(encoding="utf-8")
        block = "\n".join([BEGIN, *table(studies, language, root), END])
        written = re.sub(
            re.escape(BEGIN) + ".*?" + re.escape(END), lambda _, block=block: block, text, flags=re.DOTALL
        )
        file.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
