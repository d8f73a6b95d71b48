"""Runs contenders in turn, each in its own process.

A contender is a command whose last line on standard output is a JSON object with the figure of its task, and
`versions`; how it measures is its own affair. The runner gives all the same cores, takes turns (repetition 1 of
every contender, then repetition 2, ...) so that a machine that slows down slows all of them, and loses nobody: a
contender that cannot run, fails or takes too long is in the result, with the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from alexnet.bench.tasks import OWN, TASKS, Setting, TaskName
from alexnet.errors import UserError

# Read by OpenMP, MKL, OpenBLAS and TensorFlow as they start; the processes' affinity holds whatever does not ask.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class RunError(Exception):
    """A contender gave no figure; the message says why, in one line."""


@dataclass(frozen=True)
class Contender:
    """A program that takes part in one task."""

    name: str
    task: TaskName
    command: tuple[str, ...]
    """The process to start."""
    shown_command: str
    """The command as the result records it, without this machine's folders."""
    threads: int
    """Cores it may run on, and threads it should use."""
    unavailable: str | None = None
    """Why it cannot be started at all; None: it can."""


@dataclass
class Outcome:
    """What became of a contender."""

    contender: Contender
    lines: list[dict[str, Any]] = field(default_factory=list)
    """What it printed, a line a repetition."""
    failure: str | None = None
    """Why it did not run, or not on to the last repetition."""

    def figures(self) -> list[float]:
        """The task's figure, one a repetition."""
        metric = TASKS[self.contender.task].metric
        return [float(line[metric]) for line in self.lines]


OnRun = Callable[[int, Outcome], None]


def run(
    contenders: Sequence[Contender], *, reps: int, timeout_s: float = 900.0, on_run: OnRun | None = None
) -> list[Outcome]:
    """Let every contender run `reps` times, in turn; one that fails is not started again.

    Args:
        contenders: who takes part, in the order of their turns.
        reps: repetitions.
        timeout_s: the longest that one run may take, set-up included.
        on_run: called after each run with the repetition (from 1) and what became of its contender so far.
    """
    if reps < 1:
        raise UserError(f"reps must be 1 or more, not {reps}")
    outcomes = [Outcome(contender, failure=contender.unavailable) for contender in contenders]
    for rep in range(1, reps + 1):
        for outcome in outcomes:
            if outcome.failure is None:
                try:
                    outcome.lines.append(run_once(outcome.contender, timeout_s))
                except RunError as error:
                    outcome.failure = str(error)
            elif rep > 1:
                continue  # reported already
            if on_run is not None:
                on_run(rep, outcome)
    return outcomes


def run_once(contender: Contender, timeout_s: float) -> dict[str, Any]:
    """Start the contender's process, wait for its end and read its line.

    Raises:
        RunError: no process, no success, no line, or not in time; all its processes are gone then.
    """
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(contender.threads))}
    try:
        with _cores(contender.threads):  # inherited by the process
            process = subprocess.Popen(
                contender.command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
                start_new_session=True,  # so that its workers can be ended with it
            )
    except OSError as error:
        raise RunError(f"cannot start {contender.command[0]}: {error.strerror}") from error
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise RunError(f"took longer than {timeout_s:g} s") from None
        finally:
            _kill_session(process)
    if process.returncode != 0:
        raise RunError(_last_line(stderr) or f"exit status {process.returncode}")
    return _read_line(stdout, TASKS[contender.task].metric)


def _read_line(stdout: str, metric: str) -> dict[str, Any]:
    last = _last_line(stdout)
    try:
        values = json.loads(last)
        usable = isinstance(values, dict) and float(values[metric]) > 0
    except (ValueError, KeyError, TypeError):
        usable = False
    if not usable:
        raise RunError(f"its last line is no JSON object with {metric} above 0: {last[:200]!r}")
    return dict(values)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _kill_session(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the process and of those it started, its data-loading workers for instance."""
    if not hasattr(os, "killpg"):  # Windows
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _cores(count: int) -> Iterator[None]:
    """Restrict this process, and what it starts, to the first `count` of its cores, where the system can do that."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def own_contenders(tasks: Sequence[TaskName], setting: Setting) -> list[Contender]:
    """This package's contenders for `tasks`; those for one core are left out where that is all there is."""
    words = ["--seconds", f"{setting.seconds:g}"]
    words += [] if setting.data is None else ["--data", setting.data]
    words += [] if setting.root is None else ["--root", str(setting.root)]
    command = (sys.executable, "-m", "alexnet", "bench", "--once")
    return [
        Contender(
            name=own.name,
            task=own.task,
            command=(*command, own.measure, "--threads", str(threads), *words),
            shown_command=f"alexnet bench --once {own.measure}",
            threads=threads,
        )
        for own in OWN
        for threads in (1 if own.one_core else setting.threads,)
        if own.task in tasks and not (own.one_core and setting.threads == 1)
    ]
