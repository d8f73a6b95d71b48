"""Measurements that several studies share, all from the files of a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from alexnet.studies.study import Measured, Run


def result(run: Run) -> dict[str, Any]:
    """The values of result.json."""
    values: dict[str, Any] = json.loads(run.folder.result.read_text(encoding="utf-8"))
    return values


def error(run: Run) -> float:
    """Share of wrong answers on the images the result is of: the test split, or those held out."""
    values = result(run)
    return 1.0 - float(values[f"{values['split']}_top1"])


def history(run: Run, key: str) -> tuple[list[float], list[float]]:
    """A column of metrics.jsonl over the epochs.

    Training figures are means over an epoch while the network changes, so they stand at the epoch's middle; those on
    held-out images are taken at its end.
    """
    rows = run.folder.read_metrics()
    shift = 0.5 if key.startswith("train_") else 0.0
    return [row["epoch"] - shift for row in rows], [float(row[key]) for row in rows]


def error_curve(run: Run, key: str) -> tuple[list[float], list[float]]:
    """1 minus a top-1 of metrics.jsonl over the epochs."""
    x, y = history(run, key)
    return x, [1 - value for value in y]


def first_below(x: Sequence[float], y: Sequence[float], level: float) -> float | None:
    """Where the line through the points first comes down to `level`; None if it never does."""
    for i, value in enumerate(y):
        if value <= level:
            if i == 0:
                return float(x[0])
            share = (y[i - 1] - level) / (y[i - 1] - value)
            return float(x[i - 1] + share * (x[i] - x[i - 1]))
    return None


def final_errors(run: Run) -> Measured:
    """`test_error`, `train_error` of the last epoch, and their distance `gap`; the curve of `val_error`."""
    test_error = error(run)
    train_error = error_curve(run, "train_top1")[1][-1]
    return {
        "figures": {"test_error": test_error, "train_error": train_error, "gap": test_error - train_error},
        "curves": {"val_error": error_curve(run, "val_top1"), "train_error": error_curve(run, "train_top1")},
    }
