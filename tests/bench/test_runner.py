"""Turns, failures and time limits, with processes whose figures are known."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from alexnet.bench import OWN, TASKS, Contender, RunError, Setting, own_contenders, run
from alexnet.bench.measure import _MEASURES
from alexnet.bench.runner import run_once
from alexnet.errors import UserError


def command(code: str, threads: int = 1) -> Contender:
    return Contender("c", "train_256", (sys.executable, "-c", code), "run c", threads)


def test_contenders_take_turns(contender, log: Path) -> None:
    told = []
    outcomes = run(
        [contender("a", 1, 2, 3), contender("b", 4, 5, 6)],
        reps=3,
        on_run=lambda rep, outcome: told.append((rep, outcome.contender.name, outcome.figures()[-1])),
    )
    assert log.read_text().split() == ["a", "b", "a", "b", "a", "b"]
    assert [outcome.figures() for outcome in outcomes] == [[1, 2, 3], [4, 5, 6]]
    assert told == [(1, "a", 1), (1, "b", 4), (2, "a", 2), (2, "b", 5), (3, "a", 3), (3, "b", 6)]


def test_a_failure_is_kept_and_the_others_go_on(contender, log: Path) -> None:
    never, once, always = run([contender("a", "", ""), contender("b", 7, ""), contender("c", 8, 9)], reps=2)
    assert (never.figures(), never.failure) == ([], "out of order")
    assert (once.figures(), once.failure) == ([7], "out of order")
    assert (always.figures(), always.failure) == ([8, 9], None)
    assert log.read_text().split() == ["a", "b", "c", "b", "c"]


def test_one_that_cannot_be_started_is_told_once(contender, log: Path) -> None:
    told = []
    missing = Contender("m", "train_256", ("/no/such/python",), "run m", 1)
    absent = Contender("n", "train_256", (), "run n", 1, unavailable="not installable: no such version")
    outcomes = run([missing, absent], reps=3, on_run=lambda rep, outcome: told.append((rep, outcome.contender.name)))
    assert [outcome.failure for outcome in outcomes] == [
        "cannot start /no/such/python: No such file or directory",
        "not installable: no such version",
    ]
    assert told == [(1, "m"), (1, "n")]


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "print('hello')",
        "print('[1]')",
        "print('{\"images\": 1}')",
        "print('{\"images_per_s\": 0}')",
        "print('{\"images_per_s\": null}')",
        "print('{\"images_per_s\": 5}'); print('done')",
    ],
)
def test_a_line_without_the_figure_is_a_failure(code: str) -> None:
    with pytest.raises(RunError, match="no JSON object with images_per_s above 0"):
        run_once(command(code), timeout_s=60)


def test_an_exit_status_without_words_is_told() -> None:
    with pytest.raises(RunError, match=r"^exit status 3$"):
        run_once(command("import sys; sys.exit(3)"), timeout_s=60)


def test_in_time_or_not_at_all_with_all_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    for limit_s in (1, 10, 100):  # a busy machine may not have started the child in the first
        with pytest.raises(RunError, match=rf"^took longer than {limit_s} s$"):
            run_once(command(code), timeout_s=limit_s)
        if pid_file.exists():
            break
    assert is_gone(int(pid_file.read_text()))


def is_gone(pid: int) -> bool:
    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":  # dead, nobody waits for it
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are chosen on Linux")
def test_cores_and_threads_are_those_of_the_contender() -> None:
    before = os.sched_getaffinity(0)
    line = run_once(
        command(
            "import json, os\n"
            "cores = sorted(os.sched_getaffinity(0))\n"
            "print(json.dumps({'images_per_s': 1, 'cores': cores, 'omp': os.environ['OMP_NUM_THREADS']}))"
        ),
        timeout_s=60,
    )
    assert line == {"images_per_s": 1, "cores": [min(before)], "omp": "1"}
    assert os.sched_getaffinity(0) == before


def test_no_repetition_is_refused() -> None:
    with pytest.raises(UserError, match="reps must be 1 or more, not 0"):
        run([], reps=0)


def test_own_contenders_cover_every_task_and_measure() -> None:
    assert {own.task for own in OWN} == set(TASKS)
    assert {own.measure for own in OWN} == set(_MEASURES)
    assert len({(own.task, own.name) for own in OWN}) == len(OWN)


def test_own_contenders_are_this_very_command() -> None:
    setting = Setting(data="pictures", root=Path("there"), threads=1, seconds=2.5)
    first, second = own_contenders(["train_64"], setting)  # one core is all there is: nobody runs twice
    assert [first.name, second.name] == ["alexnet", "alexnet, one fixed batch (no data)"]
    assert first.command == (
        *(sys.executable, "-m", "alexnet", "bench", "--once", "train_64"),
        *("--threads", "1", "--seconds", "2.5", "--data", "pictures", "--root", "there"),
    )
    assert first.shown_command == "alexnet bench --once train_64"


def test_own_contenders_for_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alexnet.bench.tasks.usable_cores", lambda: 4)
    setting = Setting(data=None, root=None, threads=4, seconds=8)
    assert [(c.name, c.threads) for c in own_contenders(["train_256"], setting)] == [
        ("alexnet", 4),
        ("alexnet, one fixed batch (no data)", 4),
        ("alexnet, 1 core", 1),
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"threads": 0}, "threads must lie in 1.."), ({"threads": 99_999}, "not 99999"), ({"seconds": 0}, "not 0")],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Setting(**{"data": None, "root": None, "threads": 1, "seconds": 8, **wrong})


def test_the_place_of_the_images_stays_here() -> None:
    setting = Setting(data="/home/someone/cifar10-jpeg", root=None, threads=1, seconds=8)
    assert setting.to_json() == {"data": "cifar10-jpeg", "threads": 1, "seconds": 8, "warmup_s": 2}
