"""Live progress of a run: a bar in a terminal, one line an epoch or a setting elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from alexnet import baseline, studies
from alexnet.config import Recipe
from alexnet.errors import UserError
from alexnet.run_folder import RunFolder
from alexnet.text import counted, printable
from alexnet.training import Observer, Progress

if TYPE_CHECKING:
    from torch import nn

    from alexnet.data import Dataset
    from alexnet.studies.study import Arm


def observe(*, track: bool) -> Observer:
    """The observer for the terminal at hand, with TensorBoard scalars beside it where `track`."""
    console = Console(stderr=True)
    shown: Observer = _LiveBar(console) if console.is_terminal else _Lines(console)
    return _Several(shown, _TensorBoard()) if track else shown


def observe_baseline() -> baseline.Observer:
    """The observer of a baseline for the terminal at hand."""
    console = Console(stderr=True)
    return _LiveStages(console) if console.is_terminal else _Settings(console)


def observe_study() -> studies.Observer:
    """The observer of a study: a line a run."""
    return _Runs(Console(stderr=True))


def _print(console: Console, text: str) -> None:
    console.print(printable(text), soft_wrap=True, highlight=False, markup=False)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows in a terminal how many of how many images are done; `what` is being done to them."""
    with Console(stderr=True).status(what) as status:
        yield lambda done, total: status.update(f"{what}: {done:,} of {total:,} images")


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar in a terminal for what is done in several stages, a line a stage elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        named: set[str] = set()

        def told(stage: str, _done: int, total: int) -> None:
            if stage not in named:
                named.add(stage)
                _print(console, f"{stage} ({total:,})" if total > 1 else stage)

        yield told
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)


class _Lines(Observer):
    def __init__(self, console: Console) -> None:
        self._console = console

    def on_start(self, folder: RunFolder, recipe: Recipe, dataset: Dataset, model: nn.Module) -> None:
        parameters = sum(p.numel() for p in model.parameters())
        held_out = f", {len(dataset.val):,} held out" if dataset.val else ""
        self._print(
            f"{recipe.name}: {recipe.model.name} ({parameters:,} parameters), {counted(recipe.epochs, 'epoch')} of "
            f"{len(dataset.train):,} images{held_out}, {len(dataset.class_names)} classes, in {folder.path}"
        )

    def on_epoch(self, row: dict[str, Any]) -> None:
        val = "" if row["val_top1"] is None else f"  val top-1 {row['val_top1']:.4f}"
        self._print(
            f"epoch {row['epoch']:3d}  train loss {row['train_loss']:.4f}  train top-1 {row['train_top1']:.4f}{val}"
            f"  {row['images_per_s']:,.0f} images/s{_waiting(row['data_wait'])}  {row['elapsed_s']:.0f} s"
        )

    def _print(self, text: str) -> None:
        _print(self._console, text)


def _waiting(share: float) -> str:
    """What part of an epoch's time went by without images to train on."""
    return f", {share:.0%} of the time waiting for images" if share >= 0.01 else ""


class _LiveBar(_Lines):
    def __init__(self, console: Console) -> None:
        super().__init__(console)
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  loss {task.fields[loss]:.4f}  {task.fields[images_per_s]:,.0f} images/s"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=console, transient=True)
        self._task: TaskID | None = None
        self._reading = console.status("")

    def on_load(self, done: int, total: int) -> None:
        self._reading.update(f"reading images: {done:,} of {total:,}")
        self._reading.start()

    def on_start(self, folder: RunFolder, recipe: Recipe, dataset: Dataset, model: nn.Module) -> None:
        self._reading.stop()
        super().on_start(folder, recipe, dataset, model)

    def on_progress(self, progress: Progress) -> None:
        state: dict[str, Any] = {
            "total": progress.epochs * progress.steps,
            "completed": progress.epoch * progress.steps + progress.step,
            "epoch": f"{min(progress.epoch + 1, progress.epochs)}/{progress.epochs}",
            "loss": progress.loss,
            "images_per_s": progress.images_per_s,
        }
        if self._task is None:
            self._task = self._bar.add_task("", **state)
            self._bar.start()
        else:
            self._bar.update(self._task, **state)

    def on_end(self) -> None:
        self._reading.stop()
        self._bar.stop()


class _TensorBoard(Observer):
    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("--track needs TensorBoard: pip install 'alexnet[track]'") from None
        self._writer_class: Any = SummaryWriter
        self._writer: Any = None

    def on_start(self, folder: RunFolder, recipe: Recipe, dataset: Dataset, model: nn.Module) -> None:
        self._writer = self._writer_class(str(Path(folder.path) / "tensorboard"))

    def on_epoch(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self._writer.add_scalar(name, value, row["epoch"])

    def on_end(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Several(Observer):
    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def on_load(self, done: int, total: int) -> None:
        for observer in self._observers:
            observer.on_load(done, total)

    def on_start(self, folder: RunFolder, recipe: Recipe, dataset: Dataset, model: nn.Module) -> None:
        for observer in self._observers:
            observer.on_start(folder, recipe, dataset, model)

    def on_progress(self, progress: Progress) -> None:
        for observer in self._observers:
            observer.on_progress(progress)

    def on_epoch(self, row: dict[str, Any]) -> None:
        for observer in self._observers:
            observer.on_epoch(row)

    def on_end(self) -> None:
        for observer in self._observers:
            observer.on_end()


class _Settings(baseline.Observer):
    def __init__(self, console: Console) -> None:
        self._console = console

    def on_start(self, folder: RunFolder, recipe: baseline.BaselineRecipe, dataset: Dataset) -> None:
        held_out = len(dataset.val) if dataset.val else 0
        _print(
            self._console,
            f"{recipe.name}: {len(dataset.train):,} images of {dataset.image_px} px, {held_out:,} held out, "
            f"{len(dataset.class_names)} classes, in {folder.path}",
        )

    def on_trial(self, row: dict[str, Any]) -> None:
        setting = "  ".join(f"{key} {value:g}" for key, value in row.items() if key not in ("val_top1", "elapsed_s"))
        _print(self._console, f"{setting}  val top-1 {row['val_top1']:.4f}  {row['elapsed_s']:.0f} s")


class _LiveStages(_Settings):
    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._status = console.status("")

    def on_load(self, done: int, total: int) -> None:
        self.on_progress("reading images", done, total)

    def on_progress(self, stage: str, done: int, total: int) -> None:
        self._status.update(f"{stage}: {done:,} of {total:,}" if total else f"{stage}: step {done:,}")
        self._status.start()

    def on_end(self) -> None:
        self._status.stop()


class _Runs(studies.Observer):
    def __init__(self, console: Console) -> None:
        self._console = console

    def on_start(self, study: studies.Study, to_do: int, done: int, processes: int) -> None:
        found = f", {done} found done" if done else ""
        _print(
            self._console,
            f"{study.name}: {to_do} runs to do{found}, {processes} at a time; the whole study takes about "
            f"{math.ceil(study.core_minutes / processes)} minutes where it was sized",
        )

    def on_run(self, folder: Path, done: int, total: int, failure: str | None) -> None:
        _print(self._console, f"{done} of {total}: {folder.name}" + (f": {failure}" if failure else ""))

    def on_tuned(self, arm: Arm, lr: float) -> None:
        _print(self._console, f"{arm.label}: learning rate {lr:g}")
