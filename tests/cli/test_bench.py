"""`alexnet bench` as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_bench_measures_in_turns_and_writes_json(alexnet, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = alexnet("bench", "latency", "--threads", 1, "--seconds", 0.05, "--reps", 1, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert json.loads(out.read_text()) == result
    assert result["settings"] == {"reps": 1, "data": None, "threads": 1, "seconds": 0.05, "warmup_s": 0.0125}
    (contender,) = result["tasks"]["latency"]["contenders"].values()
    assert contender["median"] > 0
    assert "torch" in contender["versions"]
    assert result["machine"]["cpu"]
    assert "run 1, latency, alexnet, fp32: " in done.stderr


def test_bench_tells_what_could_not_be_measured(alexnet) -> None:
    done = alexnet("bench", "evaluate_files", "--threads", 1, "--quick")
    assert done.returncode == 1
    assert "needs images: name them with --data" in " ".join(done.stdout.split())
    assert "TinyAlexNet evaluation of the test images, from files" in done.stdout


def test_bench_once_is_alone(alexnet) -> None:
    done = alexnet("bench", "train_64", "--once", "train_64")
    assert done.returncode == 2
    assert "--once measures one thing" in done.stderr


def test_bench_refuses_what_it_does_not_know(alexnet) -> None:
    assert alexnet("bench", "train_65").returncode == 2
    done = alexnet("bench", "--threads", 99_999)
    assert done.returncode == 2
    assert "threads must lie in 1.." in done.stderr
