"""A study's plot, drawn from the values of study.json alone, in the style of the reports.

Axes are labelled in English; the pages say the same in both languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet.evaluation.report import style
from alexnet.files import atomic_write
from alexnet.studies.verdict import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_PX, _HEIGHT_PX = 800, 320
_ROW_PX, _AXIS_PX = 36, 60  # of a row of dots, and of the axis below them


def draw(values: Mapping[str, Any]) -> Figure:
    """The panels of a study, side by side.

    Args:
        values: those of study.json.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = values["panels"]
    rows = [len(_rows(values, panel)) for panel in panels if panel["kind"] in ("Dots", "Rows")]
    least_px = 0 if len(rows) == len(panels) else _HEIGHT_PX
    drawing = style.figure(_WIDTH_PX, max(least_px, _AXIS_PX + _ROW_PX * max(rows, default=0)))
    drawing.set_layout_engine(ConstrainedLayoutEngine(wspace=0.06))  # names of lines do not touch the next panel
    for axes, panel in zip(drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _DRAWERS[panel["kind"]](axes, values, panel)
    for axes, panel, before in zip(drawing.axes[1:], panels[1:], panels, strict=False):
        if panel["kind"] == before["kind"] == "Dots" and panel["arms"] == before["arms"]:
            axes.tick_params(axis="y", labelleft=False)  # the rows are named at the left
    return drawing


def write_plots(folder: Path, values: Mapping[str, Any]) -> None:
    """Write `plot.png` and `plot.svg`, on white."""
    with atomic_write(folder / "plot.png") as part:
        part.write_bytes(style.png(draw(values)))
    with atomic_write(folder / "plot.svg") as part:
        part.write_text(style.svg(draw(values)), encoding="utf-8")


def _arms(values: Mapping[str, Any], panel: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    chosen = panel["arms"]
    return [arm for arm in values["arms"] if chosen is None or arm["name"] in chosen]


def _rows(values: Mapping[str, Any], panel: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], float]]:
    """Label, values and scale of each row of dots."""
    if panel["kind"] == "Dots":
        scale = _scale(values, panel["figure"])
        return [(arm["label"], arm["figures"][panel["figure"]], scale) for arm in _arms(values, panel)]
    (arm,) = values["arms"]
    labels = {figure["key"]: figure["label"]["en"] for figure in values["figures"]}
    return [(labels[key], arm["figures"][key], _scale(values, key)) for key in panel["figures"]]


def _scale(values: Mapping[str, Any], key: str) -> float:
    return 100.0 if next(figure["unit"] for figure in values["figures"] if figure["key"] == key) else 1.0


def _draw_curves(axes: Axes, values: Mapping[str, Any], panel: Mapping[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    style.style_axes(axes, panel["x_label"], panel["y_label"])
    scale = 100.0 if panel["percent"] else 1.0
    if panel["log_y"]:
        axes.set_yscale("log")
    ends = []
    arms = [arm for arm in _arms(values, panel) if arm["curves"].get(panel["key"])]
    for arm, color in zip(arms, _colors(len(arms)), strict=True):
        x, seeds = _common_x(arm["curves"][panel["key"]], scale)
        means = [sum(at) / len(at) for at in zip(*seeds, strict=True)]
        _draw_band(axes, x, seeds, means, color)
        ends.append(style.EndLabel(x[-1], means[-1], arm["label"], color))
    if panel["level"] is not None:
        axes.axhline(scale * panel["level"], color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    if not panel["log_y"]:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    style.label_ends(axes, ends)


def _common_x(curves: Sequence[Sequence[Sequence[float]]], scale: float) -> tuple[list[float], list[list[float]]]:
    """The x that the curves of all seeds have, and each seed's y there."""
    length = min(len(x) for x, _ in curves)
    return list(curves[0][0][:length]), [[scale * value for value in y[:length]] for _, y in curves]


def _draw_band(
    axes: Axes, x: Sequence[float], seeds: Sequence[Sequence[float]], means: Sequence[float], color: str
) -> None:
    if len(seeds) > 1:
        lows, highs = ([edge(at) for at in zip(*seeds, strict=True)] for edge in (min, max))
        axes.fill_between(x, lows, highs, color=color, alpha=0.2, linewidth=0)
    axes.plot(x, means, color=color, linewidth=2, marker="o" if len(x) < 8 else None, markersize=4)


def _draw_dots(axes: Axes, values: Mapping[str, Any], panel: Mapping[str, Any]) -> None:
    style.style_axes(axes, panel["x_label"], "")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    log_x = panel.get("log_x", False)
    if log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_plain)
    rows = _rows(values, panel)
    for place, (_, figure, scale) in enumerate(rows):
        dots = [scale * value for value in figure["values"] if value is not None]
        axes.plot(dots, [place] * len(dots), "o", color=style.SERIES[0], alpha=0.45, markersize=5, linewidth=0)
        if figure["mean"] is not None:
            mean = scale * figure["mean"]
            low, high = (scale * bound for bound in figure["interval"] or (figure["mean"],) * 2)
            if log_x:
                low = max(low, mean / 10)
            axes.plot([low, high], [place, place], color=style.SERIES[0], linewidth=2)
            axes.plot([mean], [place], "|", color=style.SERIES[0], markersize=14, markeredgewidth=2.5)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first on top
    axes.tick_params(axis="y", length=0)


def _draw_series(axes: Axes, values: Mapping[str, Any], panel: Mapping[str, Any]) -> None:
    style.style_axes(axes, panel["x_label"], panel["y_label"])
    scale = _scale(values, panel["figure"])
    for axis, log in (("x", panel["log_x"]), ("y", panel["log_y"])):
        if log:
            getattr(axes, f"set_{axis}scale")("log")
    if panel["log_y"]:
        axes.yaxis.set_major_formatter(_plain)
        axes.yaxis.set_minor_formatter(_plain)
        axes.tick_params(axis="y", which="minor", labelsize=11, labelcolor=style.INK)
    names = list(dict.fromkeys(arm["series"] for arm in values["arms"] if arm["series"] is not None))
    ends = []
    for name, color in zip(names, _colors(len(names)), strict=True):
        points = [
            (arm["x"], [scale * v for v in arm["figures"][panel["figure"]]["values"] if v is not None])
            for arm in values["arms"]
            if arm["series"] == name
        ]
        points = sorted((x, seeds) for x, seeds in points if seeds)
        if not points:
            continue
        x = [place for place, _ in points]
        means = [spread(seeds).mean for _, seeds in points]
        if any(len(seeds) > 1 for _, seeds in points):
            axes.fill_between(
                x, [min(s) for _, s in points], [max(s) for _, s in points], color=color, alpha=0.2, linewidth=0
            )
        axes.plot(x, means, color=color, linewidth=2, marker="o", markersize=5)
        if panel["fit"] and len(x) > 1:
            _draw_fit(axes, x, means)
        ends.append(style.EndLabel(x[-1], means[-1], name, color))
    if panel["log_x"] and names:
        _plain_ticks(axes, sorted({arm["x"] for arm in values["arms"] if arm["x"] is not None}))
    style.label_ends(axes, ends if len(names) > 1 else [])


def _plain(value: float, _place: float) -> str:
    """A number on a logarithmic axis as people write it."""
    return f"{value:g}"


def _draw_fit(axes: Axes, x: Sequence[float], means: Sequence[float]) -> None:
    factor, exponent = power_law(x, means)
    axes.plot(x, [factor * place**exponent for place in x], color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    place = math.sqrt(x[0] * x[-1])
    axes.annotate(
        f"images to the power {exponent:.2f}",
        (place, factor * place**exponent),
        (10, 10),
        textcoords="offset points",
        color=style.INK,
        fontsize=12,
    )


def power_law(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Factor a and exponent b of a * x ** b, by least squares on logarithms; all values are above 0."""
    log_x, log_y = [math.log(v) for v in x], [math.log(v) for v in y]
    mean_x, mean_y = sum(log_x) / len(log_x), sum(log_y) / len(log_y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(log_x, log_y, strict=True))
    exponent = covariance / sum((a - mean_x) ** 2 for a in log_x)
    return math.exp(mean_y - exponent * mean_x), exponent


def _plain_ticks(axes: Axes, places: Sequence[float]) -> None:
    """Ticks at the places measured, as they are: 500, 2,000, 45,000; those too close to the one before unnamed."""
    from matplotlib.ticker import NullLocator

    axes.xaxis.set_minor_locator(NullLocator())
    named, last = [], -math.inf
    for place in places:
        near = math.log(place) - last < 0.12 * (math.log(places[-1]) - math.log(places[0]))
        named.append("" if near else f"{place:,.0f}" if place >= 10 else f"{place:g}")
        last = last if near else math.log(place)
    axes.set_xticks(list(places), named)


def _colors(count: int) -> Sequence[str]:
    return [style.SERIES[i % len(style.SERIES)] for i in range(count)]


_DRAWERS: dict[str, Callable[[Axes, Mapping[str, Any], Mapping[str, Any]], None]] = {
    "Curves": _draw_curves,
    "Dots": _draw_dots,
    "Rows": _draw_dots,
    "Series": _draw_series,
}
