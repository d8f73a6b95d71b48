"""What a study found, as the plain values of study.json."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from alexnet import baseline, recipes
from alexnet.config import Recipe
from alexnet.studies.study import AnyRecipe, Arm, Comparison, Study
from alexnet.studies.verdict import judge, spread, together

_ENVIRONMENT = ("alexnet", "commit", "python", "torch", "numpy", "platform", "cpu", "device", "precision")
_DIGITS = 5


def summarize(
    study: Study,
    arms: Sequence[Arm],
    measured: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    tuning: Mapping[str, Any] | None,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """The values of study.json.

    Args:
        study: what was done.
        arms: its arms, with the learning rates they were trained with.
        measured: what every run gave, by arm and in the order of the seeds.
        tuning: what the trials gave; None: there were none.
        data: what the images were.
    """
    comparisons = [_compare(comparison, measured) for comparison in study.comparisons]
    verdict = "undecided" if study.quick else together([comparison["verdict"] for comparison in comparisons])
    runs = [run for of_arm in measured.values() for run in of_arm]
    return {
        "name": study.name,
        "title": asdict(study.title),
        "claim": asdict(study.claim),
        "source": study.source,
        "published": asdict(study.published),
        "setup": asdict(study.setup),
        "quick": study.quick,
        "verdict": verdict,
        "comparisons": comparisons,
        "contrary": [asdict(citation) for citation in study.contrary],
        "figures": [asdict(figure) for figure in study.figures],
        "panels": [{"kind": type(panel).__name__, **asdict(panel)} for panel in study.panels],
        "picture": _picture(study),
        "arms": [_arm(arm, study, measured[arm.name]) for arm in arms],
        "tuning": tuning,
        "data": dict(data),
        "cost": {
            "runs": len(runs),
            "cpu_s": round(sum(run["cpu_s"] for run in runs) + (tuning["cpu_s"] if tuning else 0)),
        },
        "environment": {key: runs[0]["environment"][key] for key in _ENVIRONMENT},
        "commits": sorted({run["environment"]["commit"] or "unknown" for run in runs}),
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    }


def _picture(study: Study) -> dict[str, Any] | None:
    if study.picture is None:
        return None
    return {**asdict(study.picture), "file": f"runs/{study.arms[0].name}-0/{study.picture.file}"}


def _compare(comparison: Comparison, measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    def figures(arm: str) -> list[float | None]:
        return [run["figures"].get(comparison.figure) for run in measured[arm]]

    less = None if comparison.less is None else figures(comparison.less)
    judged = judge(comparison, figures(comparison.more), less)
    return {
        **asdict(comparison),
        "values": [_round(value) for value in judged.values],
        **_spread(judged.values if judged.spread is None else None, judged.spread),
        "verdict": judged.verdict,
    }


def _spread(values: Sequence[float] | None, found: Any) -> dict[str, Any]:
    if found is None:
        return {"mean": None, "interval": None, "n": len(values or ())}
    interval = found.interval and [_round(bound) for bound in found.interval]
    return {"mean": _round(found.mean), "interval": interval, "n": found.n}


def _arm(arm: Arm, study: Study, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures = {}
    for figure in study.figures:
        values = [run["figures"].get(figure.key) for run in runs]
        given = [value for value in values if value is not None]
        figures[figure.key] = {
            "values": [None if value is None else _round(value) for value in values],
            **_spread(given, spread(given) if given else None),
        }
    curves: dict[str, list[Any]] = {}
    for run in runs:
        for key, (x, y) in run["curves"].items():
            curves.setdefault(key, []).append([[_round(value) for value in x], [_round(value) for value in y]])
    return {
        "name": arm.name,
        "label": arm.label,
        "series": arm.series,
        "x": arm.x,
        "command": command(arm.recipe),
        "figures": figures,
        "curves": curves,
        "failures": [run.get("failure") for run in runs],
    }


def command(recipe: AnyRecipe) -> str:
    """The command that trains an arm, but for data and seed."""
    if isinstance(recipe, Recipe):
        return " ".join(["alexnet train", recipe.name, "--data SRC --seed S", *recipes.overrides(recipe)])
    flags = recipes.flags(baseline.get(recipe.name), recipe)
    return " ".join(["alexnet baseline", recipe.name, "--data SRC --seed S", *flags])


def tuning(study: Study, tried: Mapping[str, Mapping[float, Mapping[str, Any]]]) -> dict[str, Any]:
    """What the trials of learning rates gave, as plain values."""
    assert study.tuning is not None
    arms = {}
    for name, trials in tried.items():
        chosen = best_lr(trials)
        arms[name] = {
            "trials": [{"lr": lr, study.tuning.by: _figure(trial)} for lr, trial in sorted(trials.items())],
            "chosen": chosen,
            "at_edge": chosen in (min(trials), max(trials)),
        }
    seconds = sum(trial["cpu_s"] for trials in tried.values() for trial in trials.values())
    return {"by": study.tuning.by, "epochs": study.tuning.epochs, "arms": arms, "cpu_s": round(seconds)}


def best_lr(trials: Mapping[float, Mapping[str, Any]]) -> float:
    """The rate whose trial ended best; one that failed is the worst, and of equals the smaller one is taken."""
    return min(trials, key=lambda lr: (-(_figure(trials[lr]) or -math.inf), lr))


def _figure(trial: Mapping[str, Any]) -> float | None:
    """The one figure of a trial; None where training failed."""
    values: list[float] = list(trial["figures"].values())
    return values[0] if values else None


def _round(value: float) -> float:
    """To five digits, so that files stay small."""
    return float(f"{value:.{_DIGITS}g}")
