"""The pages of the studies: one a study, and one with the whole story. All wording lives in the templates."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet.evaluation import report
from alexnet.evaluation.report.style import inline_svg
from alexnet.files import atomic_write
from alexnet.studies.plots import draw

if TYPE_CHECKING:
    from jinja2 import Environment

VERDICTS = {
    "holds": {"en": "holds", "zh": "成立"},
    "does not hold here": {"en": "does not hold here", "zh": "在此不成立"},
    "undecided": {"en": "undecided", "zh": "尚無定論"},
}


def write_page(path: Path, values: Mapping[str, Any]) -> None:
    """Write the page of one study, a file that needs no other, from the values of study.json.

    Its picture is taken from the run's folder beside `path`; without that folder the page has none.
    """
    write_html(path, "study.html.jinja", study=values, plot=plot(values), picture=_picture(path.parent, values))


def _picture(folder: Path, values: Mapping[str, Any]) -> str | None:
    """The study's picture as an address to stand in a page."""
    picture = values.get("picture")
    if picture is None or not (folder / picture["file"]).is_file():
        return None
    return "data:image/png;base64," + base64.b64encode((folder / picture["file"]).read_bytes()).decode("ascii")


def plot(values: Mapping[str, Any]) -> Any:
    """The study's plot, to stand in a page."""
    from markupsafe import Markup

    name = f"plot-{values['name'].replace('_', '-')}"
    return Markup(inline_svg(draw(values), name, f"Results of the study {values['name']}"))


def write_html(path: Path, template: str, **values: Any) -> None:
    """Write a page from a template of this room."""
    html = _environment().get_template(template).render(**values)
    with atomic_write(path) as part:
        part.write_text(html, encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(report.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "share": _share,
        "bounds": bounds,
        "compared": compared,
        "duration": _duration,
    }
    environment.globals["verdicts"] = VERDICTS
    return environment


def figure(values: Mapping[str, Any], unit: str) -> str:
    """Mean and interval of an arm's figure."""
    return _spread(values, unit)


def compared(row: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    """Mean and interval of a comparison: in percentage points (pp) where it is a difference of two shares."""
    return _spread(row, _unit(row, study))


def bounds(row: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    """What the claim says a comparison lies between."""
    unit = _unit(row, study)
    low, high = (None if row[key] is None else _number(row[key], unit) for key in ("low", "high"))
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"> {low}" if high is None else f"< {high}"


def _unit(row: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    if row["kind"] == "ratio":
        return "×"
    unit: str = next(figure["unit"] for figure in study["figures"] if figure["key"] == row["figure"])
    return "pp" if unit == "%" and row["less"] is not None else unit


def _spread(values: Mapping[str, Any], unit: str) -> str:
    if values["mean"] is None:
        return "-"
    mean = _number(values["mean"], unit)
    if values["interval"] is None:
        return mean
    low, high = (_number(bound, unit) for bound in values["interval"])
    return f"{mean} ({low.removesuffix(unit).rstrip()} to {high.removesuffix(unit).rstrip()})"


def _number(value: float, unit: str) -> str:
    """Three digits or so: 12.3%, 1.2 pp, 4,512, 59.3, 0.214, 1.2e-05, 6.1×."""
    if unit in ("%", "pp"):
        return f"{100 * value:.1f}{' ' if unit == 'pp' else ''}{unit}"
    if value and abs(value) < 1e-3:
        return f"{value:.1e}{unit}"
    if abs(value) >= 100:
        return f"{value:,.0f}{unit}"
    return f"{value:.1f}{unit}" if abs(value) >= 10 else f"{value:.3g}{unit}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
