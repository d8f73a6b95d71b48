"""Library calls leave the process around them as it was."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn  # noqa: F401 - sets the environment when it is imported
import torch

import alexnet
from alexnet import baseline, runtime
from alexnet.data import from_arrays
from alexnet.errors import UserError


def settings() -> dict[str, Any]:
    """Every setting of the process that the package knows how to change."""
    cudnn = torch.backends.cudnn
    return {
        "threads": torch.get_num_threads(),
        "interop": torch.get_num_interop_threads(),
        "benchmark": cudnn.benchmark,
        "deterministic": cudnn.deterministic,
        "tf32": cudnn.allow_tf32,
        "matmul": torch.get_float32_matmul_precision(),
        "rng": torch.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109
        "optimizer": {name: id(vars(torch.optim.Optimizer).get(name)) for name in dir(torch.optim.Optimizer)},
    }


@pytest.fixture
def mallopt(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Records the parameters last given to glibc's mallopt."""
    given: dict[int, int] = {}

    class Library:
        def __init__(self, _name: None) -> None:
            self.mallopt = given.__setitem__

    monkeypatch.setattr(ctypes, "CDLL", Library)
    return given


def source() -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 1), dtype=np.uint8)
    return from_arrays(pixels, np.arange(60) % 3, ["a", "b", "c"])


def recipe(**changes: Any) -> alexnet.Recipe:
    return alexnet.Recipe(
        name="mine", epochs=1, device="cpu", threads=1, model=alexnet.ModelConfig(name="lenet"), **changes
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return alexnet.train(recipe(), source(), out=tmp_path_factory.mktemp("runs") / "run")


def fail(_run: Path, out: Path) -> None:
    bad = recipe(optimizer=alexnet.OptimizerConfig(lr=1e12), batch_size=8)
    with pytest.raises(UserError):
        alexnet.train(bad, source(), out=out)


CALLS: dict[str, Callable[[Path, Path], object]] = {
    "load and predict": lambda run, _: alexnet.load(run).predict(np.zeros((9, 9), np.uint8)),
    "evaluate": lambda run, _: alexnet.evaluate(run, source()),
    "train": lambda _, out: alexnet.train(recipe(), source(), out=out),
    "a training that fails": fail,
    "resume a finished run": lambda run, _: alexnet.resume(run),
    "baseline": lambda _, out: baseline.fit(baseline.get("hog_linear"), "digits", out=out),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_library_call_leaves_the_process_as_it_was(
    call: str, run: Path, tmp_path: Path, mallopt: dict[int, int]
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = settings()
        CALLS[call](run, tmp_path / "out")
        after = settings()
    finally:
        torch.set_num_threads(threads)
    assert before == after
    assert mallopt in ({}, {-1: 128 * 1024, -4: 65536})  # never touched, or back at glibc's defaults


def test_training_does_change_them_meanwhile(tmp_path: Path, mallopt: dict[int, int]) -> None:
    """The test above would pass if nothing were ever set."""
    seen: list[tuple[int, dict[int, int]]] = []

    class Watch(alexnet.Observer):
        def on_epoch(self, row: dict[str, Any]) -> None:
            seen.append((torch.get_num_threads(), dict(mallopt)))

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    alexnet.train(recipe(), source(), out=tmp_path / "run", observer=Watch())
    torch.set_num_threads(threads)
    assert seen == [(1, {-1: 2**31 - 1, -4: 0})]


def test_cudnn_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.backends.cudnn.allow_tf32
    with runtime.preserved():
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = not before
    assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.allow_tf32 == before


def test_threads_beyond_reason_are_refused() -> None:
    with pytest.raises(UserError, match="threads must be at most 1024, not 100000"):
        runtime.start("cpu", threads=100_000)


IMPORT = """
import torch
def state():
    methods = {n: m for n, m in vars(torch.optim.Optimizer).items() if callable(m) and hasattr(m, "__dict__")}
    marks = {n: sorted(vars(getattr(m, "__wrapped__", m))) for n, m in methods.items()}
    return {n: id(m) for n, m in vars(torch.optim.Optimizer).items()}, marks
before = state()
import alexnet.training.optim.build, alexnet.training.run
assert state() == before
"""


def test_importing_leaves_the_classes_of_torch_alone() -> None:
    subprocess.run([sys.executable, "-c", IMPORT], check=True)


@pytest.mark.parametrize("optimizer", ["sgd", "muon", "sgd_2012", "adamw"])
def test_training_and_resuming_load_no_compiler(optimizer: str, tmp_path: Path) -> None:
    """Fails when a new torch loads it elsewhere: a second and a half of each start."""
    code = (
        "import sys, alexnet; from dataclasses import replace; r = alexnet.recipes.digits(); "
        f"r = replace(r, epochs=1, train_images=64, optimizer=alexnet.OptimizerConfig(name={optimizer!r}, lr=0.01)); "
        f"run = alexnet.train(r, out={str(tmp_path / 'run')!r}); (run / 'result.json').unlink(); "
        "alexnet.resume(run); "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
