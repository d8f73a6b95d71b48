"""Contenders of known speed, and the scripts of `benchmarks/`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from alexnet.bench import Contender

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# Prints the next of its figures each time it is started, and notes its turn in a log; an empty figure is a failure.
_SCRIPT = """
import json, sys
name, log, metric, more, *figures = sys.argv[1:]
with open(log, "a+") as lines:
    lines.seek(0)
    turn = lines.read().split().count(name)
    print(name, file=lines)
if not figures[turn]:
    sys.exit("Traceback\\n\\nout of order\\n")
print("a remark")
print(json.dumps({metric: float(figures[turn]), **json.loads(more)}))
"""

Make = Callable[..., Contender]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Names of the contenders in the order of their turns."""
    return tmp_path / "turns"


@pytest.fixture
def contender(log: Path) -> Make:
    """Makes a contender that prints the figures given, one each time it runs; "" is a failure."""

    def make(name: str, *figures: object, task: str = "train_256", more: str = "{}", metric: str = "images_per_s"):
        command = (sys.executable, "-c", _SCRIPT, name, str(log), metric, more, *map(str, figures))
        return Contender(name=name, task=task, command=command, shown_command=f"run {name}", threads=1)

    return make


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Imports a script of `benchmarks/` by its path there."""

    def load(path: str) -> ModuleType:
        file = BENCHMARKS / path
        spec = importlib.util.spec_from_file_location(f"benchmarks_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look for their module
        spec.loader.exec_module(module)
        return module

    return load
