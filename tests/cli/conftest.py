"""A run to look at, trained once by the command itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Runs the command in an empty home, as a newcomer would."""
    home = tmp_path_factory.mktemp("home")

    def run(*words: object, cwd: Path | None = None, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "alexnet", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd or home,
            env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "COLUMNS": "120"},
            timeout=timeout_s,
        )

    return run


@pytest.fixture(scope="session")
def digits_run(alexnet: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run folder of a short training on the digits."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    done = alexnet("train", "digits", "--epochs", 4, "--out", run)
    assert done.returncode == 0, done.stderr
    return run
