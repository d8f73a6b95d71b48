"""The look of every plot: sizes in pixels, colours safe for the colour-blind, lines named at their ends.

matplotlib is used through its object interface alone (no pyplot), so plots can be drawn in any thread, and is
imported where it is needed, as it takes half a second.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#24292f"
MUTED = "#6e7781"
GRID = "#d8dee4"
# Okabe and Ito 2008 (Color Universal Design), darkest first, as those read best on white.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_FONT_PX = 12
_UNITS_PER_INCH = 72  # one SVG unit, a CSS pixel, is one point to matplotlib
_CSS_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    color: f"--series-{i}" for i, color in enumerate(SERIES, start=1)
}
_RENDERING = threading.Lock()


@dataclass(frozen=True)
class EndLabel:
    """The name of a line, to be written beside its last point."""

    x: float
    y: float
    text: str
    color: str


def figure(width_px: int = 800, height_px: int = 360) -> Figure:
    """A new, empty, transparent figure."""
    from matplotlib.figure import Figure

    size = (width_px / _UNITS_PER_INCH, height_px / _UNITS_PER_INCH)
    return Figure(figsize=size, dpi=_UNITS_PER_INCH, layout="constrained", facecolor="none")


def style_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Give `axes` the house style; labels name the quantity and its unit. The y label lies flat, above its axis."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=_FONT_PX - 1)
    axes.set_xlabel(x_label, color=INK, fontsize=_FONT_PX)
    # A title, as the layout makes no room for a y label that lies flat.
    axes.set_title(y_label, color=INK, fontsize=_FONT_PX, loc="left")


def label_ends(axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Write each line's name to the right of its last point, apart from one another where lines end close by.

    Call it last: it reads the axes' limits.
    """
    axes.get_xlim(), axes.get_ylim()  # settles limits that are still pending, which the transforms below do not
    gap = 1.25 * _FONT_PX / (axes.get_window_extent().height or 1.0)
    shares = [float(axes.transAxes.inverted().transform(axes.transData.transform((e.x, e.y)))[1]) for e in labels]
    for label, share in zip(labels, _spread(shares, gap), strict=True):
        axes.annotate(
            label.text,
            xy=(label.x, share),
            xycoords=("data", "axes fraction"),
            xytext=(8, 0),
            textcoords="offset points",
            color=label.color,
            fontsize=_FONT_PX,
            va="center",
            annotation_clip=False,
        )


def svg(drawing: Figure) -> str:
    """`drawing` as its own file, on white, with its text as text."""
    return _render(drawing, facecolor="white")


def inline_svg(drawing: Figure, name: str, description: str) -> str:
    """`drawing` as an `<svg>` element to stand in a page.

    Args:
        drawing: a figure in the house colours, which become the page's CSS variables (`--ink`, `--muted`,
            `--grid`, `--series-1` ...) so that one drawing suits a light and a dark page.
        name: letters that no other drawing of the page has; they keep the elements' ids apart.
        description: what the drawing shows, for readers who cannot see it; without markup.
    """
    text = _render(drawing, facecolor="none")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r"#[0-9a-f]{6}\b", _as_css_variable, text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size, "matplotlib writes a viewBox"
    max_width_px = 1.2 * float(size[1])  # narrow plots may fill a phone's width
    head = (
        f'<svg class="plot" role="img" aria-label="{description}" {size[0]} style="max-width: {max_width_px:.0f}px">'
    )
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<svg[^>]*>", head, text, count=1)).strip()


def png(drawing: Figure, scale: float = 2.0) -> bytes:
    """`drawing` as a PNG file on white, `scale` times its size in pixels."""
    buffer = io.BytesIO()
    with _RENDERING:
        drawing.savefig(buffer, format="png", dpi=scale * _UNITS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def _render(drawing: Figure, facecolor: str) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # These two can only be set for the whole process: the lock keeps threads from undoing each other's.
    with (
        _RENDERING,
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "alexnet"}),
        warnings.catch_warnings(),
    ):
        # Text stays text, and who looks at it has fonts that matplotlib lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        drawing.savefig(buffer, format="svg", facecolor=facecolor, metadata={"Date": None})
    return buffer.getvalue()


def _as_css_variable(color: re.Match[str]) -> str:
    variable = _CSS_VARIABLES.get(color[0])
    return f"var({variable}, {color[0]})" if variable else color[0]


def _spread(positions: Sequence[float], gap: float) -> list[float]:
    """`positions` moved as little as needed to lie `gap` apart, in the same order."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    groups: list[list[int]] = []
    for i in order:
        groups.append([i])
        # A group that touches the one below joins it, and both are centred again, until none touch.
        while len(groups) > 1 and _bottom(groups[-1], positions, gap) < _top(groups[-2], positions, gap) + gap:
            last = groups.pop()
            groups[-1] += last
    result = list(positions)
    for group in groups:
        for rank, i in enumerate(group):
            result[i] = _bottom(group, positions, gap) + rank * gap
    return result


def _centre(group: list[int], positions: Sequence[float]) -> float:
    return sum(positions[i] for i in group) / len(group)


def _bottom(group: list[int], positions: Sequence[float], gap: float) -> float:
    return _centre(group, positions) - gap * (len(group) - 1) / 2


def _top(group: list[int], positions: Sequence[float], gap: float) -> float:
    return _centre(group, positions) + gap * (len(group) - 1) / 2
