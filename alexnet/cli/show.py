"""What the commands print: results on standard output, complaints on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alexnet.bench import HEAD, TASKS, rows
from alexnet.cli.words import WORDS
from alexnet.language import Words
from alexnet.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from alexnet.bench import Outcome
    from alexnet.evaluation import Evaluation
    from alexnet.run_folder import RunFolder
    from alexnet.studies import Study


def line(text: str) -> None:
    """One line: never wrapped, square brackets are not markup, and line breaks in names are escaped."""
    print(printable(text, kept="\t"))


def complaint(text: str) -> None:
    """A line on standard error, with the program's name before it."""
    print(f"alexnet: {printable(text)}", file=sys.stderr)


def json_object(values: Any, indent: int | None = 2) -> None:
    """`values` as JSON, on one line where `indent` is None."""
    print(json.dumps(values, indent=indent, ensure_ascii=False, allow_nan=False))


def mapping(values: Mapping[str, Any], as_json: bool) -> None:
    """A line a key that has a value, or one JSON object."""
    if as_json:
        json_object(values)
        return
    for key, value in values.items():
        if value not in (None, [], {}):
            print(f"{key.replace('_', ' ')}: {_in_words(value)}")


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    if isinstance(value, dict):
        nested = any(isinstance(inner, dict) for inner in value.values())
        parts = [
            f"{_in_words(key)}: {_in_words(inner)}" if nested else f"{_in_words(key)} {_in_words(inner)}"
            for key, inner in value.items()
        ]
        return "".join(f"\n  {part}" for part in parts) if nested else ", ".join(parts)
    return printable(str(value), kept="")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table under its head."""
    grid = Table(*head, box=box.SIMPLE_HEAD)
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(grid)


def evaluation(measured: Evaluation, title: str) -> None:
    """Metrics of one split, with a row a class."""
    line(title)
    line(f"{measured.n:,} images: {_figures(measured)}")
    table(
        ("class", "images", "precision", "recall", "F1"),
        [(c.name, str(c.n), f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}") for c in measured.classes],
    )


def _figures(measured: Evaluation) -> str:
    low, high = measured.top1_interval
    return (
        f"top-1 {measured.top1:.4f} (95% interval {low:.4f} to {high:.4f}), "
        f"top-{measured.k} {measured.top5:.4f}, loss {measured.loss:.4f}, calibration error {measured.ece:.4f}"
    )


def members(alone: Sequence[tuple[str, Evaluation]]) -> None:
    """A line for each network of an ensemble, by its name."""
    for name, measured in alone:
        line(f"{name}: {_figures(measured)}")


def bench(result: Mapping[str, Any]) -> None:
    """The result of a benchmark, a table a task."""
    for task in result["tasks"].values():
        line(task["title"] + ("" if task["higher_is_better"] else " (less is better)"))
        table(HEAD, rows(task))


def bench_run(rep: int, outcome: Outcome) -> None:
    """One run of a benchmark is over; on standard error, so that the result stands alone."""
    contender = outcome.contender
    if outcome.failure is None:
        outcome_text = f"{outcome.figures()[-1]:,.4g} {TASKS[contender.task].unit}"
    else:
        outcome_text = f"failed: {outcome.failure}"
    print(f"run {rep}, {contender.task}, {contender.name}: {outcome_text}", file=sys.stderr, flush=True)


def studies(known: Sequence[Study]) -> None:
    """What can be tested, and how long it takes."""
    table(
        ("study", "claim", "runs", "core minutes"),
        [(s.name, s.title.en, str(len(s.arms) * s.seeds), f"{s.core_minutes:g}") for s in known],
    )


def study(folder: Path) -> None:
    """The end of a study: its verdict, and where everything is."""
    from alexnet.studies.page import compared

    values = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    verdict = "a preview, no verdict" if values["quick"] else values["verdict"]
    line(f"{values['name']}: {verdict} ({values['claim']['en']})")
    for row in values["comparisons"]:
        line(f"    {row['text']['en']}: {compared(row, values)}, n = {row['n']}")
    line(f"page: {folder / 'index.html'}")


def result(folder: RunFolder) -> None:
    """The end of a run: its figure, and where everything is."""
    values = json.loads(folder.result.read_text(encoding="utf-8"))
    split = values["split"]
    top1, (low, high) = values[f"{split}_top1"], values[f"{split}_top1_interval"]
    words = Words(WORDS)
    epochs = values["epochs"]
    line(
        words.plain(
            "result",
            split=words.plain(f"split_{split}"),
            top1=f"{top1:.4f}",
            low=f"{low:.4f}",
            high=f"{high:.4f}",
            images=f"{values[f'n_{split}']:,}",
            work=words.plain("fitted") if epochs is None else words.plain("epochs", n=epochs),
            seconds=f"{values['train_s']:.0f}",
        )
    )
    line(words.plain("run_folder", path=folder.path))
    line(words.plain("report", path=folder.report))
