"""Decoded images and features kept in the user's cache directory, found again by what they were made from.

An entry is a `.npy` file followed by a check sum of all before it. Entries appear whole or not at all, are never
changed in place, and one that fails its check is as good as absent; so any number of processes may use, make and
lose them at any time.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.files import atomic_write

log = logging.getLogger(__name__)

_MAGIC = b"alexnet1"
_BLOCK = 1 << 20
_DAY_S = 86_400.0
_UNUSED_DAYS = 90


def directory() -> Path:
    """`decoded/` in `$ALEXNET_CACHE`, in `$XDG_CACHE_HOME/alexnet` or in `~/.cache/alexnet`; it may not exist."""
    own = os.environ.get("ALEXNET_CACHE")
    base = Path(own).expanduser() if own else user_cache() / "alexnet"
    return base / "decoded"


def user_cache() -> Path:
    """The user's cache directory, as XDG defines it: an `$XDG_CACHE_HOME` that is not absolute is ignored."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".cache"


def get(key: str) -> NDArray[Any] | None:
    """The array stored under `key`, mapped from disk copy-on-write; None where there is none, or a broken one."""
    path = _path(key)
    try:
        if not _is_whole(path):
            log.warning("the cache file %s is damaged: it is made again", path)
            return None
        # Mode "c": the pages are the disk's own until written to, and the file never changes.
        array: NDArray[Any] = np.load(path, mmap_mode="c")
        os.utime(path)  # pruning goes by the last use
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("the cache file %s cannot be read (%s): it is made again", path, error)
        return None
    return array


def put(key: str, array: NDArray[Any]) -> None:
    """Store `array` under `key`; where that fails (full disk, read-only folder) a warning is logged."""
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _prune(path.parent)
        with atomic_write(path) as part:
            _write(part, array)
    except OSError as error:
        log.warning("decoded images are not kept for next time: %s", error)


def _path(key: str) -> Path:
    return directory() / f"{key}.npy"


def _write(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    with path.open("rb") as file:
        check = _checksum(file, path.stat().st_size)
    with path.open("ab") as file:
        file.write(_MAGIC + check)


def _is_whole(path: Path) -> bool:
    size = path.stat().st_size - len(_MAGIC) - 4
    if size < 0:
        return False
    with path.open("rb") as file:
        check = _checksum(file, size)
        return file.read() == _MAGIC + check


def _checksum(file: object, size: int) -> bytes:
    """CRC-32 of the next `size` bytes."""
    crc = 0
    while size > 0 and (block := file.read(min(size, _BLOCK))):  # type: ignore[attr-defined]
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc.to_bytes(4, "big")


def _prune(folder: Path) -> None:
    """Remove what killed processes left, and entries long unused."""
    now_s = time.time()
    for pattern, days in ((".*.tmp", 1), ("*.npy", _UNUSED_DAYS)):
        for path in folder.glob(pattern):
            try:
                if now_s - path.stat().st_mtime > days * _DAY_S:
                    path.unlink(missing_ok=True)
            except OSError:  # another process was faster, or owns the file
                continue
