"""The report's contents, brought into the form the template shows.

The sentences live in `words.py`; everything computed lives here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from alexnet.evaluation.calibrate import Answered
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.report import plots
from alexnet.evaluation.report.pictures import (
    color_share,
    columns_for,
    data_uri,
    filters_picture,
    thumbnail,
    with_pictures,
)
from alexnet.evaluation.report.style import inline_svg
from alexnet.evaluation.report.words import WORDS
from alexnet.files import atomic_write
from alexnet.language import Language, Words

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

_MATRIX_CLASSES = 40  # a larger matrix cannot be read; its largest cells are listed instead
_FULL_SHADE = 0.1  # of a class: rarer mistakes are never shown at full strength, as they would look alarming
_MATRIX_PAIRS, _PAIRS = 10, 30


@dataclass(frozen=True)
class Mistake:
    """An image the network got wrong."""

    pixels_HWC: NDArray[np.uint8]
    """[H, W, 1 or 3], as the network saw it but for normalisation."""
    truth: str
    predicted: str
    confidence: float
    """Probability given to the predicted class, 0..1."""
    truth_probability: float
    """Probability given to the true class, 0..1."""
    file: str | None = None
    """Path below the source's folder; None where images are not files."""


@dataclass(frozen=True)
class Trial:
    """A setting that was tried on held-out images."""

    setting: str
    val_top1: float
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything the report shows. Parts that are empty or None leave their section out."""

    title: str
    language: Language | None = None
    """Of the sentences; None: `alexnet.language.preferred()`, in which title and facts are expected too."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What a reader asks first, by name: recipe, data, model, seed, hardware, versions."""
    command: str | None = None
    """The command line that repeats the run."""
    subject: Literal["network", "pipeline"] = "network"
    """What was measured."""
    evaluation: Evaluation
    calibrated: Evaluation | None = None
    """The same images after the temperature that travels with the weights; None: nothing was fitted."""
    answered: Answered | None = None
    """What becomes of them where answers may be withheld."""
    split: str = "test"
    """Which images `evaluation` is of: test, val or train."""
    parameters: int | None = None
    """Weights and biases of the network."""
    history: plots.History = ()
    """Rows of `metrics.jsonl`, an epoch each."""
    trials: Sequence[Trial] = ()
    """Settings that were tried, in order."""
    mistakes: Sequence[Mistake] = ()
    """Worst first."""
    filters_OCHW: NDArray[Any] | None = None
    """Weights of the first convolution, or patches of a dictionary; C = 1 or 3."""
    towers: int = 1
    """Equal parts of these filters that later layers see apart, as on the two GPUs of 2012; shown one by one."""
    folder: Path | None = None
    """Where the photographs lie that `findings` names."""
    findings: Mapping[str, Any] = field(default_factory=dict)
    """What to look at among them, as `alexnet.start.findings` gives it."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The recipe as plain values; nested groups are shown as `group.field`."""


def write_report(path: str | Path, content: ReportContent) -> None:
    """Write `content` as one HTML file that needs no other file, no script and no network.

    Raises:
        ValueError: the filters or a mistake's pixels have a shape that cannot be shown.
        OSError: the folder is missing or cannot be written.
    """
    render(path, Path(__file__).parent / "report.html.jinja", **_view(content))


def render(path: str | Path, template: Path, **values: Any) -> None:
    """Write a page from a template, which may include the style sheet of reports."""
    html = _environment(template.parent).get_template(template.name).render(values)
    with atomic_write(path) as part:
        part.write_text(html, encoding="utf-8")


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,  # names of classes and files come from whoever made the images
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "duration": _duration, "count": "{:,}".format}
    return environment


def _view(content: ReportContent) -> dict[str, Any]:
    evaluation, words = content.evaluation, Words(WORDS, content.language)
    K = len(evaluation.classes)
    confident = content.calibrated or evaluation
    return {
        "t": words,
        "split": words(content.split),
        "subject": words(content.subject),
        "content": content,
        "evaluation": evaluation,
        "correct": round(evaluation.top1 * evaluation.n),
        "chance_loss": math.log(K),
        "train_s": content.history[-1].get("elapsed_s") if content.history else None,
        "pace": _pace(content.history),
        "curves": _curves(content.history, words),
        "has_validation": any(row.get("val_top1") is not None for row in content.history),
        "matrix": _matrix(evaluation) if K <= _MATRIX_CLASSES else None,
        "pairs": _confused_pairs(evaluation, _MATRIX_PAIRS if K <= _MATRIX_CLASSES else _PAIRS),
        "classes": sorted(evaluation.classes, key=lambda c: (c.f1, c.name)),
        "calibration": _plot(
            plots.calibration_plot(confident.bins, words), "calibration", words.plain("plot_calibration")
        ),
        "ece": confident.ece,
        "overconfidence": sum(b.n * ((b.confidence or 0) - (b.accuracy or 0)) for b in confident.bins) / confident.n,
        "trade_off": None
        if content.answered is None
        else _plot(plots.answers_plot(content.answered, words), "answers", words.plain("plot_answers")),
        "mistakes": [(mistake, data_uri(mistake.pixels_HWC)) for mistake in content.mistakes],
        "filters": _filters(content.filters_OCHW, content.towers),
        "findings": _findings(content.folder, content.findings),
        "recipe": _flatten(content.recipe),
    }


def _findings(folder: Path | None, found: Mapping[str, Any]) -> dict[str, Any] | None:
    """With pictures; None where there is nothing to look at."""
    if folder is None or not any(found.values()):
        return None
    return {
        "unreadable": found["unreadable"],
        "duplicates": [(each["exact"], with_pictures(folder, each["files"])) for each in found["duplicates"]],
        "suspects": [(each, thumbnail(folder / each["file"])) for each in found["suspects"]],
    }


def _curves(history: plots.History, words: Words) -> list[Any]:
    if not history:
        return []
    return [
        _plot(plots.loss_curve(history, words), "loss", words.plain("curve_loss")),
        _plot(plots.top1_curve(history, words), "top1", words.plain("curve_top1")),
        _plot(plots.learning_rate_curve(history, words), "rate", words.plain("curve_lr")),
    ]


def _plot(drawing: Figure, name: str, description: str) -> Any:
    from markupsafe import Markup

    return Markup(inline_svg(drawing, name, description))  # drawn here, from numbers alone


def _pace(history: plots.History) -> float | None:
    """Median images per second over the epochs; the first one may hold compilation and warming up."""
    rates = [row["images_per_s"] for row in history if row.get("images_per_s")]
    return float(np.median(rates)) if rates else None


@dataclass(frozen=True)
class _Tower:
    """Filters shown together."""

    first: int
    """Counted from 1, likewise `last`."""
    last: int
    uri: str
    width_px: int
    color_share: float
    """Of the weights' squares, what is not common to the three channels, 0..1."""


def _filters(filters_OCHW: NDArray[Any] | None, towers: int) -> dict[str, Any] | None:
    if filters_OCHW is None:
        return None
    number, channels, H, W = filters_OCHW.shape
    if number % towers:
        raise ValueError(f"{number} filters are not {towers} equal parts")
    size = number // towers
    columns = columns_for(number)
    shown = [_tower(filters_OCHW[i * size : (i + 1) * size], i * size + 1, columns) for i in range(towers)]
    return {"towers": shown, "number": number, "channels": channels, "height": H, "width": W}


def _tower(filters_OCHW: NDArray[Any], first: int, columns: int) -> _Tower:
    picture = filters_picture(filters_OCHW, columns)
    return _Tower(
        first=first,
        last=first + len(filters_OCHW) - 1,
        uri=data_uri(picture),
        width_px=picture.shape[1],
        color_share=color_share(filters_OCHW),
    )


@dataclass(frozen=True)
class _Cell:
    images: int
    right: bool
    shade: float
    """0..1: for right answers the share of the row, for mistakes their share against the strongest one."""


def _matrix(evaluation: Evaluation) -> list[tuple[str, list[_Cell]]]:
    shares = [[n / (sum(row) or 1) for n in row] for row in evaluation.confusion]
    mistakes = [share for i, row in enumerate(shares) for j, share in enumerate(row) if i != j]
    strongest = max([_FULL_SHADE, *mistakes])
    return [
        (
            evaluation.classes[i].name,
            [
                _Cell(images, i == j, round(shares[i][j] / (1 if i == j else strongest), 2))
                for j, images in enumerate(row)
            ],
        )
        for i, row in enumerate(evaluation.confusion)
    ]


@dataclass(frozen=True)
class _Pair:
    truth: str
    predicted: str
    images: int
    share: float
    """Of the true class's images."""


def _confused_pairs(evaluation: Evaluation, most: int) -> list[_Pair]:
    confusion = np.array(evaluation.confusion)
    np.fill_diagonal(confusion, 0)
    K = len(confusion)
    order = np.argsort(-confusion, axis=None, kind="stable")[:most]
    pairs = []
    for truth, predicted in (divmod(int(cell), K) for cell in order):
        if images := int(confusion[truth, predicted]):
            row = evaluation.classes[truth]
            pairs.append(_Pair(row.name, evaluation.classes[predicted].name, images, images / row.n))
    return pairs


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flatten(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, str(value)))
    return rows


def _percent(share: float, digits: int = 1) -> str:
    """A share in 0..1 as per cent; what is not quite nothing or all does not read as such."""
    text = f"{100 * share:.{digits}f}"
    if share < 1 and float(text) == 100:
        return f">{100 - 10**-digits:.{digits}f}%"
    if share > 0 and float(text) == 0:
        return f"<{10**-digits:.{digits}f}%"
    return text + "%"


def _duration(seconds: float) -> str:
    if seconds < 59.95:  # which would read 60.0 s
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
