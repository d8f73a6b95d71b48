"""Medians, spreads and ratios of what contenders measured, as plain JSON values."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Sequence
from typing import Any

from alexnet.bench.runner import Outcome
from alexnet.bench.tasks import TASKS, TaskName

_TOLD_ONCE = {"machine", "versions"}


def summarize(outcomes: Sequence[Outcome], settings: dict[str, Any]) -> dict[str, Any]:
    """The result of a benchmark.

    Args:
        outcomes: what became of each contender.
        settings: how it was run; kept as it is.

    Returns:
        `date` (UTC), `settings`, `machine` (as the first contender reported it) and `tasks`: for each its
        title, unit and contenders. A contender that ran has `versions`, `runs` (what else it printed), `median`,
        `min`, `max` and `ratio`: the first contender's figure divided by its own, repetition by repetition, with
        median, min and max. Where operations were counted, `gemm_share` is its rate of operations divided by that
        of a matrix product measured in the same process, or else in the first contender's. `not_run` or
        `stopped` says why a contender ran never, or not to the end.
    """
    lines = [line for outcome in outcomes for line in outcome.lines]
    tasks = [name for name in TASKS if any(outcome.contender.task == name for outcome in outcomes)]
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "settings": settings,
        "machine": next((line["machine"] for line in lines if "machine" in line), None),
        "tasks": {name: _task(name, [o for o in outcomes if o.contender.task == name]) for name in tasks},
    }


def _task(name: TaskName, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    task = TASKS[name]
    return {
        "title": task.title,
        "unit": task.unit,
        "higher_is_better": task.higher_is_better,
        "contenders": {outcome.contender.name: _contender(outcome, outcomes[0]) for outcome in outcomes},
    }


def _contender(outcome: Outcome, first: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {"command": outcome.contender.shown_command, "threads": outcome.contender.threads}
    if outcome.failure is not None:
        values["stopped" if outcome.lines else "not_run"] = outcome.failure
    figures = outcome.figures()
    if figures:
        values |= _spread(figures)
        if first.lines:
            values["ratio"] = _spread([a / b for a, b in zip(first.figures(), figures, strict=False)])
        shares = _gemm_shares(outcome, first)
        if shares:
            values["gemm_share"] = _spread(shares)
        values["versions"] = outcome.lines[0].get("versions", {})
        values["runs"] = [{k: v for k, v in line.items() if k not in _TOLD_ONCE} for line in outcome.lines]
    return values


def _gemm_shares(outcome: Outcome, first: Outcome) -> list[float]:
    """Operations a second of each run, as a share of the machine's matrix product of the same repetition."""
    if not any("flops_per_image" in line for line in first.lines):
        return []
    return [
        line["images_per_s"]
        * reference["flops_per_image"]
        / line.get("gemm_flops_per_s", reference["gemm_flops_per_s"])
        for line, reference in zip(outcome.lines, first.lines, strict=False)
    ]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


HEAD = ("contender", "median", "min to max", "first / this", "of GEMM rate")


def rows(task: dict[str, Any]) -> list[tuple[str, ...]]:
    """A task of a result as a table under `HEAD`."""
    return [(name, *_cells(values, task["unit"])) for name, values in task["contenders"].items()]


def _cells(values: dict[str, Any], unit: str) -> tuple[str, ...]:
    if "not_run" in values:
        return f"not run: {values['not_run']}", "", "", ""
    stopped = f" (stopped: {values['stopped']})" if "stopped" in values else ""
    several = len(values["runs"]) > 1
    ratio, share = values.get("ratio"), values.get("gemm_share")
    return (
        f"{_figure(values['median'])} {unit}{stopped}",
        _range(values) if several else "",
        "" if ratio is None else _figure(ratio["median"]) + (f" ({_range(ratio)})" if several else ""),
        "" if share is None else f"{share['median']:.2f}",
    )


def _range(spread: dict[str, float]) -> str:
    return f"{_figure(spread['min'])} to {_figure(spread['max'])}"


def _figure(value: float) -> str:
    """Three or more digits: 4,512, 59.3, 0.214."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
