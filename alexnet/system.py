"""How much memory there is, and how much is free to use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def total_bytes() -> int | None:
    """The machine's memory; None where it cannot be told."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None


def available_bytes() -> int | None:
    """What can be used without pushing others out, within this container's bounds; None where it cannot be told."""
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
