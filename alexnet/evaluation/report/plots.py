"""The report's plots, each drawn from plain values so that studies can draw them too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alexnet.evaluation.calibrate import Answered
from alexnet.evaluation.metrics import CalibrationBin
from alexnet.evaluation.report import style
from alexnet.evaluation.report.words import WORDS
from alexnet.language import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, Any]]
"""Rows of `metrics.jsonl`, an epoch each; a value may be absent, None or NaN, which leaves a gap."""

_TRAIN, _VAL = style.SERIES[0], style.SERIES[1]
_PANEL_PX = (300, 240)


def loss_curve(history: History, words: Words) -> Figure:
    """Loss on training and held-out images over the epochs."""
    return _panel(_draw_loss, history, words)


def top1_curve(history: History, words: Words) -> Figure:
    """Top-1 on training and held-out images over the epochs."""
    return _panel(_draw_top1, history, words)


def learning_rate_curve(history: History, words: Words) -> Figure:
    """Learning rate over the epochs."""
    return _panel(_draw_learning_rate, history, words)


def curves(history: History, words: Words | None = None) -> Figure:
    """The three curves side by side, 800 px wide; in the preferred language without `words`."""
    drawing = style.figure(800, 260)
    drawers = (_draw_loss, _draw_top1, _draw_learning_rate)
    for draw, axes in zip(drawers, drawing.subplots(1, 3), strict=True):
        draw(axes, history, words or Words(WORDS))
    return drawing


def curves_svg(history: History) -> str:
    """`curves` as an SVG file on white."""
    return style.svg(curves(history))


def calibration_plot(bins: Sequence[CalibrationBin], words: Words | None = None) -> Figure:
    """Accuracy against confidence, over a histogram of how many images have each confidence."""
    drawing = style.figure(440, 400)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    words = words or Words(WORDS)
    _draw_reliability(above, bins, words)
    _draw_confidences(below, bins, words)
    return drawing


def answers_plot(answered: Answered, words: Words) -> Figure:
    """Accuracy of given answers against the share of images that get one; the chosen threshold as a dot."""
    drawing = style.figure(440, 300)
    axes = drawing.subplots()
    style.style_axes(axes, words.plain("axis_answered"), words.plain("axis_given"))
    axes.plot(
        [100 * share for share, _ in answered.curve], [100 * right for _, right in answered.curve], color=_TRAIN
    )
    if answered.accuracy is not None:
        axes.plot([100 * answered.share], [100 * answered.accuracy], "o", color=_VAL, markersize=9)
    axes.axhline(100 * answered.accept, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 100), ylim=(min(50.0, *(100 * right for _, right in answered.curve)), 101))
    return drawing


def _panel(draw: Callable[[Axes, History, Words], None], history: History, words: Words) -> Figure:
    drawing = style.figure(*_PANEL_PX)
    draw(drawing.subplots(), history, words)
    return drawing


def _draw_loss(axes: Axes, history: History, words: Words) -> None:
    _draw_lines(
        axes, history, words, "axis_loss", {"line_train": ("train_loss", _TRAIN), "line_val": ("val_loss", _VAL)}
    )


def _draw_top1(axes: Axes, history: History, words: Words) -> None:
    lines = {"line_train": ("train_top1", _TRAIN), "line_val": ("val_top1", _VAL)}
    _draw_lines(axes, history, words, "axis_top1", lines, scale=100)


def _draw_learning_rate(axes: Axes, history: History, words: Words) -> None:
    _draw_lines(axes, history, words, "axis_lr", {"": ("lr", style.SERIES[2])})  # a single line needs no name
    axes.set_ylim(bottom=0)


def _draw_lines(
    axes: Axes,
    history: History,
    words: Words,
    y_label: str,
    lines: Mapping[str, tuple[str, str]],
    scale: float = 1,
) -> None:
    """One line a word of `lines`, from the rows' key to a colour; single points are drawn as dots."""
    from matplotlib.ticker import MaxNLocator

    style.style_axes(axes, words.plain("axis_epoch"), words.plain(y_label))
    ends = []
    for name, (key, color) in lines.items():
        points = [(int(row["epoch"]), row[key] * scale) for row in history if _is_number(row.get(key))]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=color, linewidth=2, marker="o" if len(points) < 3 else None)
        if name:
            ends.append(style.EndLabel(*points[-1], words.plain(name), color))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    style.label_ends(axes, ends)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _draw_reliability(axes: Axes, bins: Sequence[CalibrationBin], words: Words) -> None:
    style.style_axes(axes, "", words.plain("axis_right"))
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
        words.plain("ideal"),
        (40, 40),
        (-10, 10),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=style.INK,
        fontsize=12,
    )
    axes.set(xlim=(0, 100), ylim=(0, 100))


def _draw_confidences(axes: Axes, bins: Sequence[CalibrationBin], words: Words) -> None:
    style.style_axes(axes, words.plain("axis_confidence"), words.plain("axis_share"))
    total = sum(b.n for b in bins) or 1
    axes.bar(
        [100 * b.low for b in bins],
        [100 * b.n / total for b in bins],
        width=[100 * (b.high - b.low) * 0.9 for b in bins],
        align="edge",
        color=style.MUTED,
    )
