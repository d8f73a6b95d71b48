"""Measure alexnet and its peers in one run, in turns, on the same images and cores.

    make bench [DATA=FOLDER] [ARGS="train_256 --quick"]
    python benchmarks/bench.py [TASK ...] [--data FOLDER] [--reps N] [--seconds S] [--threads N] [--quick]

`--data` is a folder of images of 32 px, `train/<class>/*` and `test/<class>/*`, such as CIFAR-10 as JPEG files;
without it, random images of that form are made. Each peer (`benchmarks/peers/*.py`) runs in an environment with what
its head asks for; one that cannot be installed or fails is in the result with the reason. The result goes to
benchmarks/results/bench.json, and from there into the table of benchmarks/RESULTS.md; tasks that are not measured now
keep their figures of before. With `--quick`, which only shows that everything runs, it is printed and no more.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import record
from bench_environments import NotInstallable, python_for, read_head
from bench_images import first_images, random_folder, write_arrays
from bench_table import with_earlier

from alexnet.bench import TASKS, Contender, Setting, TaskName, own_contenders, run, summarize
from alexnet.cli import show
from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.system import usable_cores

HERE = Path(__file__).parent
WORK = HERE.parent / ".bench"
RESULT = HERE / "results" / "bench.json"


def peers(tasks: list[TaskName], setting: Setting, arrays: Path) -> list[Contender]:
    """The contenders of all scripts in benchmarks/peers that take part in one of `tasks`."""
    heads = {script: read_head(script) for script in sorted((HERE / "peers").glob("[!_]*.py"))}
    return [
        _peer(script, head, entry, task, setting, arrays)
        for script, head in heads.items()
        for entry in head["tool"]["bench"]
        for task in entry["tasks"]
        if task in tasks
    ]


def _peer(
    script: Path, head: dict[str, Any], entry: dict[str, Any], task: TaskName, setting: Setting, arrays: Path
) -> Contender:
    more = entry.get("arguments", [])
    words = ["--data", str(setting.data), "--arrays", str(arrays)]
    words += ["--threads", str(setting.threads), "--seconds", f"{setting.seconds:g}"]
    python, unavailable = sys.executable, None
    try:
        python = python_for(head, WORK)
    except NotInstallable as reason:
        unavailable = str(reason)
    return Contender(
        name=entry["name"],
        task=task,
        command=(python, str(script), task, *more, *words),
        shown_command=" ".join([f"benchmarks/peers/{script.name}", task, *more]),
        threads=setting.threads,
        unavailable=unavailable,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"default: all of {', '.join(TASKS)}")
    parser.add_argument("--data", type=Path, help="folder with train/<class>/* and test/<class>/*; default: random")
    parser.add_argument("--reps", type=int, help="default 3, with --quick 1")
    parser.add_argument("--seconds", type=float, help="how long each measurement counts; default 8, with --quick 1")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="cores to use; default: all")
    parser.add_argument("--quick", action="store_true", help="a few images, one second: does everything run?")
    arguments = parser.parse_args()
    arguments.reps = arguments.reps or (1 if arguments.quick else 3)
    arguments.seconds = arguments.seconds or (1.0 if arguments.quick else 8.0)
    unknown = sorted(set(arguments.tasks) - set(TASKS))
    if unknown:
        parser.error(f"unknown task {', '.join(unknown)}: choose of {', '.join(TASKS)}")
    if arguments.data is not None and not (arguments.data / "train").is_dir():
        parser.error(f"{arguments.data} has no folder train/")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    WORK.mkdir(exist_ok=True)
    folder = arguments.data or random_folder(WORK / "random-images")
    if arguments.quick:
        folder = first_images(folder, WORK / "quick-images")
    setting = Setting(data=str(folder.resolve()), root=None, threads=arguments.threads, seconds=arguments.seconds)
    images = write_arrays(folder, WORK / "images.npz")
    tasks = arguments.tasks or list(TASKS)
    contenders = [*own_contenders(tasks, setting), *peers(tasks, setting, WORK / "images.npz")]
    contenders.sort(key=lambda contender: list(TASKS).index(contender.task))  # stable: ours stay first
    outcomes = run(contenders, reps=arguments.reps, on_run=show.bench_run)
    result = summarize(outcomes, {"reps": arguments.reps, "images": images, **setting.to_json()})
    show.bench(result)
    if not arguments.quick:
        write_json(RESULT, with_earlier(result, json.loads(RESULT.read_text()) if RESULT.exists() else None))
        record.benchmark()


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
