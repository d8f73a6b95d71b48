"""Runs a study: arms times seeds, each a run folder trained in its own process, several at a time."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alexnet.config import Recipe
from alexnet.data import load as load_data
from alexnet.errors import Interrupted, UserError
from alexnet.files import write_json
from alexnet.run_folder import RunFolder
from alexnet.studies import sharing, summary
from alexnet.studies.page import write_page
from alexnet.studies.plots import write_plots
from alexnet.studies.sharing import MEASURED
from alexnet.studies.study import AnyRecipe, Arm, Study, Tuning
from alexnet.studies.worker import Job, work
from alexnet.system import usable_cores

FileName = str | os.PathLike[str]
_TUNING_SEED = 100  # none of the seeds that are compared


class Observer:
    """Callbacks of a study; override any of them."""

    def on_start(self, study: Study, to_do: int, done: int, processes: int) -> None:
        """So many runs are to be done, and so many were found done."""

    def on_run(self, folder: Path, done: int, total: int, failure: str | None) -> None:
        """A run is over; `failure` says why it gave no figures."""

    def on_tuned(self, arm: Arm, lr: float) -> None:
        """The learning rate of an arm is chosen."""


def run(
    study: Study,
    data: str,
    *,
    root: FileName | None = None,
    out: FileName,
    seeds: int | None = None,
    processes: int | None = None,
    observer: Observer | None = None,
) -> Path:
    """Run a study, or go on with it, and write `study.json`, `plot.png`, `plot.svg` and `index.html`.

    Runs that are finished are taken as they are, so a study that was stopped goes on where it was, and more seeds
    can be added later. A run that a study beside this one has finished, of the same recipe on the same images, is
    copied from there.

    Args:
        study: what to do.
        data: a source's name or a folder of class folders.
        root: where the source's files are, where they are not in the default place.
        out: folder of the study.
        seeds: runs of each arm; None: as many as the study has.
        processes: runs at a time, each on one thread; None: as many as this process may run on.
        observer: receives progress callbacks.

    Returns:
        `out`.

    Raises:
        UserError: the data cannot be read, or `out` holds runs of other recipes or images.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    folder = Path(out)
    if seeds is not None and seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {seeds}")
    if processes is not None and processes < 1:
        raise UserError(f"processes must be 1 or more, not {processes}")
    source = str(Path(data).resolve()) if Path(data).is_dir() else data
    images = _look_at(source, root)
    _refuse_other_images(folder, images)
    pool = _Pool(study, processes or usable_cores(), observer or Observer())
    place = _Place(study, source, None if root is None else Path(root), folder, images)
    tuned = _tune(study, study.tuning, place, pool) if study.tuning else {}
    arms = [replace(arm, recipe=_with_lr(arm.recipe, tuned.get(arm.name))) for arm in study.arms]
    count = seeds or study.seeds
    jobs = {arm.name: [place.job(arm, seed) for seed in range(count)] for arm in arms}
    pool.run([job for seed in range(count) for job in (jobs[arm.name][seed] for arm in arms)])
    values = summary.summarize(
        study,
        arms,
        {name: [_read(job.folder / MEASURED) for job in of_arm] for name, of_arm in jobs.items()},
        tuning=summary.tuning(study, place.tried(study.tuning)) if study.tuning else None,
        data=images,
    )
    write_json(folder / "study.json", values)
    write_plots(folder, values)
    write_page(folder / "index.html", values)
    return folder


def _look_at(source: str, root: FileName | None) -> dict[str, Any]:
    """What the images are; reading them here once also leaves them decoded for the runs."""
    dataset = load_data(source, root=root)
    return {
        "source": Path(source).name,
        "n_train": len(dataset.train) + (0 if dataset.val is None else len(dataset.val)),
        "fingerprint": dataset.train.fingerprint(),
    }


def _refuse_other_images(folder: Path, images: dict[str, Any]) -> None:
    """Raise `UserError` where the runs in `folder` saw other images; the first time, note which these are."""
    note = folder / "runs" / sharing.IMAGES
    if not note.is_file():
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, images)
    elif _read(note)["fingerprint"] != images["fingerprint"]:
        raise UserError(f"the runs in {folder} saw other images: name another --out")


@dataclass(frozen=True)
class _Place:
    """Where the runs of a study are, and on which images."""

    study: Study
    source: str
    root: Path | None
    folder: Path
    images: dict[str, Any]

    def job(self, arm: Arm, seed: int) -> Job:
        recipe = replace(arm.recipe, seed=seed, data=self.source)
        return self._job(f"{arm.name}-{seed}", recipe, tuning=False)

    def trial(self, arm: Arm, lr: float, tuning: Tuning) -> Job:
        recipe = _with_lr(arm.recipe, lr)
        assert isinstance(recipe, Recipe), "baselines choose their settings themselves"
        recipe = replace(recipe, epochs=tuning.epochs, open_test=False, seed=_TUNING_SEED, data=self.source)
        return self._job(f"tune-{arm.name}-{lr:g}", recipe, tuning=True)

    def tried(self, tuning: Tuning | None) -> dict[str, dict[float, dict[str, Any]]]:
        """What each trial gave, by arm and learning rate."""
        assert tuning is not None
        return {
            arm.name: {lr: _read(self.trial(arm, lr, tuning).folder / MEASURED) for lr in tuning.lrs}
            for arm in self.study.arms
        }

    def _job(self, name: str, recipe: AnyRecipe, *, tuning: bool) -> Job:
        folder = self.folder / "runs" / name
        self._refuse_others(folder, recipe)
        return Job(self.study, folder, recipe, self.root, tuning)

    def _refuse_others(self, folder: Path, recipe: AnyRecipe) -> None:
        """Raise `UserError` where the folder holds a run that is not this one."""
        kept = RunFolder(folder)
        if kept.recipe.is_file() and not sharing.holds(kept, recipe):
            raise UserError(
                f"{folder} holds a run of another recipe (a quick one, or one of another version): "
                "name another --out, or remove that folder"
            )


def _with_lr(recipe: AnyRecipe, lr: float | None) -> AnyRecipe:
    if lr is None:
        return recipe
    assert isinstance(recipe, Recipe), "baselines choose their settings themselves"
    return replace(recipe, optimizer=replace(recipe.optimizer, lr=lr))


def _tune(study: Study, tuning: Tuning, place: _Place, pool: _Pool) -> dict[str, float]:
    """The best learning rate of each arm; trials that fail are the worst."""
    pool.run([place.trial(arm, lr, tuning) for arm in study.arms for lr in tuning.lrs])
    chosen = {}
    for arm in study.arms:
        chosen[arm.name] = summary.best_lr(place.tried(tuning)[arm.name])
        pool.observer.on_tuned(arm, chosen[arm.name])
    return chosen


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


class _Pool:
    """Processes that each do one job; a signal is passed on to them, so that they save what they have."""

    def __init__(self, study: Study, processes: int, observer: Observer) -> None:
        self._study, self._processes, self.observer = study, processes, observer

    def run(self, jobs: Sequence[Job]) -> None:
        """Do all jobs that are not done.

        Raises:
            UserError: a job stopped with an error.
            Interrupted: a signal came.
        """
        waiting = [job for job in jobs if not (job.folder / MEASURED).is_file()]
        self.observer.on_start(self._study, len(waiting), len(jobs) - len(waiting), self._processes)
        total, done = len(waiting), 0
        context = multiprocessing.get_context("spawn")
        running: dict[Any, tuple[multiprocessing.process.BaseProcess, Job]] = {}
        with _signals() as signals:
            try:
                while waiting or running:
                    while waiting and len(running) < self._processes and not signals:
                        job = waiting.pop(0)
                        sharing.take(job.folder, job.recipe)
                        process: multiprocessing.process.BaseProcess = context.Process(target=work, args=(job,))
                        process.start()
                        running[process.sentinel] = process, job
                    for sentinel in multiprocessing.connection.wait(list(running), timeout=0.5):
                        process, job = running.pop(sentinel)
                        process.join()
                        if not signals:
                            done += 1
                            self._report(job, done, total)
                    if signals:
                        break
            finally:
                _stop([process for process, _ in running.values()])
        if signals:
            raise Interrupted("stopped; the same command goes on", signals[0])

    def _report(self, job: Job, done: int, total: int) -> None:
        if not (job.folder / MEASURED).is_file():
            raise UserError(f"{job.folder} was not finished: {job.complaint()}")
        self.observer.on_run(job.folder, done, total, _read(job.folder / MEASURED).get("failure"))


def _stop(processes: Sequence[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """A list that receives the number of the first Ctrl-C or SIGTERM; the second acts at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
