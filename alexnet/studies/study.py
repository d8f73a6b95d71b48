"""What a study is: plain values, a claim and how it is tested, all fixed before anything is run.

Neither torch nor numpy is imported here, so that studies can be listed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alexnet.baseline import BaselineRecipe
from alexnet.config import Recipe
from alexnet.errors import UserError
from alexnet.run_folder import RunFolder

AnyRecipe = Recipe | BaselineRecipe


@dataclass(frozen=True)
class Text:
    """A sentence or more, in both languages of the pages."""

    en: str
    zh: str
    """Traditional Chinese."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the things that are compared."""

    name: str
    """Letters, digits and hyphens: the names of its run folders begin with it."""
    label: str
    """Its name in plots and tables, short."""
    recipe: AnyRecipe
    """What is trained; the seed is set by the runner."""
    series: str | None = None
    """Arms of one series are joined by a line, over `x`; None: the arm stands alone."""
    x: float | None = None
    """Place of the arm in its series."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that every run gives."""

    key: str
    """Its name in what the measurement returns."""
    label: Text
    """What it is, with its unit."""
    unit: Literal["", "%", "pp"] = ""
    """How it is shown: as it is; a fraction in 0..1 in per cent; or a difference of two such in percentage points."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the claim says of one figure: that its value lies between two bounds.

    The value of a seed is the figure of arm `more`, minus that of arm `less` or divided by it, of the same seed.
    """

    text: Text
    figure: str
    more: str
    less: str | None = None
    """None: the value is the figure of `more` alone."""
    kind: Literal["difference", "ratio"] = "difference"
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise UserError(f"a comparison of {self.figure} needs a bound: set low or high")


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Learning rates that are tried for each arm before the study proper, with a seed of their own."""

    lrs: tuple[float, ...]
    epochs: int
    by: Literal["train_top1", "val_top1"]
    """What the last epoch must be best in; the test split stays closed."""


@dataclass(frozen=True)
class Citation:
    """What somebody else found."""

    text: Text
    source: str


@dataclass(frozen=True)
class Curves:
    """A line an arm: the mean over seeds, with a band from the least to the largest."""

    key: str
    """Name of the curve in what the measurement returns."""
    x_label: str
    y_label: str
    percent: bool = False
    level: float | None = None
    """Where a dashed line is drawn."""
    log_y: bool = False
    arms: tuple[str, ...] | None = None
    """None: all."""


@dataclass(frozen=True)
class Dots:
    """A row an arm: a dot a seed, and the mean with its 95% interval."""

    figure: str
    x_label: str
    arms: tuple[str, ...] | None = None
    log_x: bool = False


@dataclass(frozen=True)
class Rows:
    """As `Dots`, with a row a figure of the study's only arm."""

    figures: tuple[str, ...]
    x_label: str


@dataclass(frozen=True)
class Series:
    """A line a series of arms, over their x: the mean, with a band from the least seed to the largest."""

    figure: str
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    fit: bool = False
    """Draw the power law that fits the means best on logarithmic axes."""


Panel = Curves | Dots | Rows | Series


@dataclass(frozen=True)
class Picture:
    """A picture that the measurement leaves in each run's folder; the page shows that of the first run."""

    file: str
    caption: Text


@dataclass(frozen=True)
class Run:
    """A finished run, to be measured."""

    folder: RunFolder
    recipe: AnyRecipe
    data: str
    root: Path | None


Measured = dict[str, Any]
"""What a measurement returns: `figures`, numbers by name (None where a run has none), and `curves`, pairs of lists of
the same length, x and y, by name."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A claim, and how it is tested."""

    name: str
    title: Text
    claim: Text
    source: str
    published: Text
    """The figures that were published with the claim."""
    setup: Text
    """What is done here, and how it differs from what was done there."""
    arms: tuple[Arm, ...]
    figures: tuple[Figure, ...]
    measure: Callable[[Run], Measured]
    comparisons: tuple[Comparison, ...]
    panels: tuple[Panel, ...]
    picture: Picture | None = None
    contrary: tuple[Citation, ...] = ()
    tuning: Tuning | None = None
    trains: bool = True
    """Runs are trained before they are measured; False: what is measured needs no training."""
    seeds: int = 3
    quick: bool = False
    """A preview, whose verdict says nothing."""
    core_minutes: float
    """Processor time of all of it on the machine it was sized on (an AMD EPYC core of 2024, bf16)."""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise UserError(f"study {self.name}: two arms have one name")
        figures = {figure.key for figure in self.figures}
        for comparison in self.comparisons:
            unknown = {comparison.more, comparison.less} - {*names, None}
            if unknown or comparison.figure not in figures:
                raise UserError(f"study {self.name}: a comparison of what is not there: {comparison}")

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)
