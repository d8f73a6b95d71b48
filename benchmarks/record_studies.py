"""Make the table of verdicts in README.md anew, from studies/*/study.json.

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


def table(studies: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown; none where there is nothing to tell."""
    rows = [_row(values) for values in studies if not values["quick"]]
    return ["| claim | published | measured (95% interval) | verdict |", "|---|---|---|---|", *rows] if rows else []


def _row(values: dict[str, Any]) -> str:
    measured = "<br>".join(f"{row['text']['en']}: {page.compared(row, values)}" for row in values["comparisons"])
    claim = f"[{values['title']['en']}](studies/{values['name']}/study.json)"
    return f"| {claim} | {values['published']['en']} | {measured} | **{values['verdict']}** |"


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    block = "\n".join([BEGIN, *table(finished(ROOT / "studies")), END])
    readme.write_text(
        re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, text, flags=re.DOTALL), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
