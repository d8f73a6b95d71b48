"""The page's plots, in the style of reports."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from alexnet.evaluation.report.style import GRID, INK, MUTED, SERIES, EndLabel, figure, label_ends, style_axes
from alexnet.explain.ablation import Ablation
from alexnet.explain.explanation import Dropped
from alexnet.explain.sanity import Sanity
from alexnet.language import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_CLASSES = 5


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Within the block matplotlib does not complain of letters that its own font lacks: SVG keeps text as text."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def ablation_plot(ablations: Sequence[Ablation], words: Words) -> Figure:
    """A line a layer: the change of top-1 for each channel, the most missed first; ranks as shares of the layer."""
    drawing = figure(560, 300)
    axes = drawing.subplots()
    style_axes(axes, words.plain("axis_rank"), words.plain("axis_change"))
    labels = []
    for i, ablation in enumerate(ablations):
        change = 100 * np.sort(ablation.top1_change_U.numpy())
        share = 100 * np.arange(len(change)) / max(1, len(change) - 1)
        color = SERIES[i % len(SERIES)]
        style = "-" if i < len(SERIES) else "--"
        axes.plot(share, change, color=color, linewidth=1.8, linestyle=style, marker="o" if len(change) < 3 else None)
        labels.append(EndLabel(share[-1], change[-1], ablation.layer.name, color))
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xticks([0, 25, 50, 75, 100], ["0%", "25%", "50%", "75%", "100%"])
    axes.set_xlim(-2, 102)
    label_ends(axes, labels)
    return drawing


def sanity_plot(check: Sanity, words: Words) -> Figure:
    """A line a method: its correlation with the original, from the first stage to the whole net."""
    drawing = figure(560, 280)
    axes = drawing.subplots()
    style_axes(axes, words.plain("axis_stage"), words.plain("axis_correlation"))
    labels = []
    x = np.arange(len(check.stages) + 1)
    for i, (method, values) in enumerate(check.by_method.items()):
        y = np.array([1.0, *values])
        there = ~np.isnan(y)
        axes.plot(x[there], y[there], color=SERIES[i], linewidth=1.8, marker="o", markersize=4)
        last = np.nonzero(there)[0][-1]
        labels.append(EndLabel(float(x[last]), float(y[last]), words.plain(method), SERIES[i]))
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xticks(x, ["", *check.stages])
    axes.set_ylim(min(-0.3, axes.get_ylim()[0]), 1.08)
    label_ends(axes, labels)
    return drawing


def dropout_plot(dropped: Dropped, class_names: Sequence[str], words: Words) -> Figure:
    """A row a class: a dot a pass, and a bar for the answer with dropout off; the likeliest classes."""
    top = dropped.off_K.topk(min(_SHOWN_CLASSES, len(dropped.off_K))).indices.tolist()
    drawing = figure(520, 60 + 44 * len(top))
    axes = drawing.subplots()
    style_axes(axes, words.plain("axis_probability"), "")
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    spread = np.random.default_rng(0).uniform(-0.28, 0.28, len(dropped.p_TK))
    for row, c in enumerate(top):
        axes.scatter(dropped.p_TK[:, c], row + spread, s=9, color=SERIES[0], alpha=0.45, linewidths=0)
        axes.vlines(float(dropped.off_K[c]), row - 0.36, row + 0.36, color=SERIES[1], linewidth=2.4)
    axes.set_yticks(range(len(top)), [class_names[c] for c in top])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a class may be called anything, dollar signs included
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    return drawing


def usage_plot(wins: Sequence[float], words: Words) -> Figure:
    """A bar a channel: the share of places where it is the strongest of its layer, 0..1, in the channels' order."""
    drawing = figure(640, 240)
    axes = drawing.subplots()
    style_axes(axes, words.plain("off_channel"), words.plain("plot_usage"))
    axes.bar(range(len(wins)), [100 * w for w in wins], color=SERIES[0], width=0.8)
    axes.yaxis.set_major_formatter("{x:g}%")
    axes.set_xlim(-0.8, len(wins) - 0.2)
    return drawing
