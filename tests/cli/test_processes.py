"""`alexnet train --processes N` as a process that starts others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

FLAGS = ("train", "digits", "--epochs", 12, "--train-images", 300, "--batch-size", 60, "--model.dropout", 0.2)


@pytest.fixture(scope="module")
def run_of_two(alexnet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    run = tmp_path_factory.mktemp("two") / "run"
    done = alexnet(*FLAGS, "--processes", 2, "--out", run)
    assert done.returncode == 0, done.stderr
    return run, done


def start(run: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "alexnet", *map(str, FLAGS), "--processes", "2", "--out", str(run)]
    return subprocess.Popen([*command, *map(str, words)], stderr=subprocess.PIPE, text=True)


def wait_for_epoch(launched: subprocess.Popen[str]) -> None:
    assert launched.stderr is not None
    for line in launched.stderr:
        if line.startswith("epoch "):
            return
    raise AssertionError("no epoch was finished")


def test_one_run_folder_one_voice(run_of_two: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    run, done = run_of_two
    assert done.stdout.count("test top-1 ") == 1
    assert done.stderr.count("epoch   1  train loss") == 1
    assert len(done.stderr.splitlines()) == 13  # what it does, and a line an epoch: torchrun says nothing
    result = json.loads((run / "result.json").read_text())
    assert result["n_test"] == 359
    assert json.loads((run / "recipe.json").read_text())["environment"]["processes"] == 2


def workers_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes by Linux's /proc")
def test_killed_and_started_again(run_of_two: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    launched = start(tmp_path / "run", "--max-restarts", 1)
    wait_for_epoch(launched)
    victim = workers_of(launched.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    assert launched.stderr is not None
    said = launched.stderr.read()
    launched.stderr.close()
    assert launched.wait(60) == 0, said
    assert f"pid {victim}) ended at " in said
    ours, theirs = (load_file(run / "model.safetensors") for run in (tmp_path / "run", run_of_two[0]))
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_stopped(tmp_path: Path) -> None:
    launched = start(tmp_path / "run", "--epochs", 3000)
    wait_for_epoch(launched)
    launched.send_signal(signal.SIGINT)
    assert launched.stderr is not None
    said = launched.stderr.read()
    launched.stderr.close()
    assert launched.wait(60) == 130, said
    assert said.count(f"continue with: alexnet train --resume {tmp_path / 'run'} --processes 2") == 1
    assert "Traceback" not in said
    assert (tmp_path / "run" / "checkpoint" / "state.pt").exists()


def test_a_mistake_is_told_once(alexnet, tmp_path: Path) -> None:
    done = alexnet("train", "digits", "--batch-size", 1, "--processes", 2, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "alexnet: 2 processes cannot share the 1 image(s) of a batch: start 1 or fewer, "
        "or set --batch-size to 2 or more"
    ]


def test_mistakes_before_anything_starts(
    alexnet, run_of_two: tuple[Path, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_of_two

    def says(*words: object) -> str:
        done = alexnet("train", *words)
        assert done.returncode == 2
        return " ".join(done.stderr.split())

    assert "is finished, nothing is left to train" in says("--resume", run, "--processes", 2)
    assert "--max-restarts goes with --processes" in says("digits", "--max-restarts", 2)
    assert "--hang-timeout-s is for several processes" in says("digits", "--hang-timeout-s", 9)
    assert "--processes must be 1 or more" in says("digits", "--processes", 0)
    assert "is not empty" in says("digits", "--processes", 2, "--out", run)
    assert "--resume takes everything from the run" in says("digits", "--resume", run, "--processes", 2)
    monkeypatch.setenv("RANK", "0")
    assert "drop it where torchrun" in says("digits", "--processes", 2)
