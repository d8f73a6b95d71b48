"""Facts of the machine against what the system says itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet import system


def test_cores_are_those_of_the_affinity_mask() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity masks on this system")
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from alexnet.system import *; "
    code += "import alexnet.system as s; print(s.usable_cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


def test_memory_is_that_of_the_system() -> None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        pytest.skip("needs /proc")
    total = system.total_bytes()
    stated_kib = int(meminfo.read_text(encoding="ascii").split()[1])
    assert total is not None
    assert abs(total - 1024 * stated_kib) < 0.02 * total
    available = system.available_bytes()
    assert available is not None
    assert 0 <= available <= total


def test_the_cpu_has_a_name() -> None:
    assert system.cpu_name().strip()


def test_the_commit_is_that_of_the_checkout() -> None:
    root = Path(system.__file__).parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    commit = system.commit()
    assert commit is not None
    assert commit.removesuffix("+changes") == head.stdout.strip()


def test_facts_wait_for_neither_torch_nor_numpy() -> None:
    code = "import alexnet.system, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
