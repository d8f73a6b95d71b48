"""Facts of the machine: cores, memory, the CPU's name, and the commit that runs on it.

This module imports neither torch nor numpy.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """CPU cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_bytes() -> int | None:
    """The machine's memory; None where it is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None


def available_bytes() -> int | None:
    """What can be used without pushing others out, within this container's bounds; None where it is unknown."""
    bounds = [bound for bound in (_free_bytes(), _container_bytes()) if bound is not None]
    return min(bounds, default=total_bytes())


def _free_bytes() -> int | None:
    """Linux's own estimate, which counts the file cache as free."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):  # not Linux
        return None


def _container_bytes() -> int | None:
    """What is left below the limit of this container's control group (version 2), if it has one."""
    try:
        limit = int((_CGROUP / "memory.max").read_text(encoding="ascii"))  # "max" is no number: no limit
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        used = next(int(line.split()[1]) for line in lines if line.startswith("anon "))  # the file cache can go
        return max(0, limit - used)
    except (OSError, StopIteration, ValueError):
        return None


def cpu_name() -> str:
    """The CPU's model, as the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """Commit of the checkout this package runs from, marked where files differ from it; None outside one."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if not git("ls-files", "system.py"):  # another project's checkout, with this package inside
            return None
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
