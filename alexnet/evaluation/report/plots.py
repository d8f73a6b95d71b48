"""The report's plots, each drawn from plain values so that studies can draw them too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alexnet.evaluation.calibrate import Answered
from alexnet.evaluation.metrics import CalibrationBin
from alexnet.evaluation.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, Any]]
"""Rows of `metrics.jsonl`, an epoch each; a value may be absent, None or NaN, which leaves a gap."""

_TRAIN, _VAL = style.SERIES[0], style.SERIES[1]
_PANEL_PX = (300, 240)


def loss_curve(history: History) -> Figure:
    """Loss on training and held-out images over the epochs."""
    return _panel(_draw_loss, history)


def top1_curve(history: History) -> Figure:
    """Top-1 on training and held-out images over the epochs."""
    return _panel(_draw_top1, history)


def learning_rate_curve(history: History) -> Figure:
    """Learning rate over the epochs."""
    return _panel(_draw_learning_rate, history)


def curves(history: History) -> Figure:
    """The three curves side by side, 800 px wide."""
    drawing = style.figure(800, 260)
    drawers = (_draw_loss, _draw_top1, _draw_learning_rate)
    for draw, axes in zip(drawers, drawing.subplots(1, 3), strict=True):
        draw(axes, history)
    return drawing


def curves_svg(history: History) -> str:
    """`curves` as an SVG file on white."""
    return style.svg(curves(history))


def calibration_plot(bins: Sequence[CalibrationBin]) -> Figure:
    """Accuracy against confidence, over a histogram of how many images have each confidence."""
    drawing = style.figure(440, 400)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_reliability(above, bins)
    _draw_confidences(below, bins)
    return drawing


def answers_plot(answered: Answered) -> Figure:
    """Accuracy of given answers against the share of images that get one; the chosen threshold as a dot."""
    drawing = style.figure(440, 300)
    axes = drawing.subplots()
    style.style_axes(axes, "images answered (%)", "right answers (% of given)")
    axes.plot(
        [100 * share for share, _ in answered.curve], [100 * right for _, right in answered.curve], color=_TRAIN
    )
    if answered.accuracy is not None:
        axes.plot([100 * answered.share], [100 * answered.accuracy], "o", color=_VAL, markersize=9)
    axes.axhline(100 * answered.accept, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 100), ylim=(min(50.0, *(100 * right for _, right in answered.curve)), 101))
    return drawing


def _panel(draw: Callable[[Axes, History], None], history: History) -> Figure:
    drawing = style.figure(*_PANEL_PX)
    draw(drawing.subplots(), history)
    return drawing


def _draw_loss(axes: Axes, history: History) -> None:
    _draw_lines(axes, history, "loss (nats)", {"train": ("train_loss", _TRAIN), "validation": ("val_loss", _VAL)})


def _draw_top1(axes: Axes, history: History) -> None:
    lines = {"train": ("train_top1", _TRAIN), "validation": ("val_top1", _VAL)}
    _draw_lines(axes, history, "top-1 (% of images)", lines, scale=100)


def _draw_learning_rate(axes: Axes, history: History) -> None:
    _draw_lines(axes, history, "learning rate", {"": ("lr", style.SERIES[2])})  # a single line needs no name
    axes.set_ylim(bottom=0)


def _draw_lines(
    axes: Axes, history: History, y_label: str, lines: Mapping[str, tuple[str, str]], scale: float = 1
) -> None:
    """One line a name of `lines`, from the rows' key to a colour; single points are drawn as dots."""
    from matplotlib.ticker import MaxNLocator

    style.style_axes(axes, "epoch", y_label)
    ends = []
    for name, (key, color) in lines.items():
        points = [(int(row["epoch"]), row[key] * scale) for row in history if _is_number(row.get(key))]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=color, linewidth=2, marker="o" if len(points) < 3 else None)
        if name:
            ends.append(style.EndLabel(*points[-1], name, color))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    style.label_ends(axes, ends)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _draw_reliability(axes: Axes, bins: Sequence[CalibrationBin]) -> None:
    style.style_axes(axes, "", "right answers (% of images)")
    filled = [b for b in bins if b.accuracy is not None]
    axes.bar(
        [100 * b.low for b in filled],
        [100 * b.accuracy for b in filled if b.accuracy is not None],
        width=[100 * (b.high - b.low) * 0.9 for b in filled],
        align="edge",
        color=_TRAIN,
        alpha=0.6,  # so that the line shows over bars, on a dark page too
    )
    axes.plot([0, 100], [0, 100], color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "ideal",
        (40, 40),
        (-10, 10),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=style.INK,
        fontsize=12,
    )
    axes.set(xlim=(0, 100), ylim=(0, 100))


def _draw_confidences(axes: Axes, bins: Sequence[CalibrationBin]) -> None:
    style.style_axes(axes, "confidence (%)", "share of images (%)")
    total = sum(b.n for b in bins) or 1
    axes.bar(
        [100 * b.low for b in bins],
        [100 * b.n / total for b in bins],
        width=[100 * (b.high - b.low) * 0.9 for b in bins],
        align="edge",
        color=style.MUTED,
    )
