"""One process at a time in a folder.

A lock is a file `.lock` in the folder, held with the operating system's own lock (`flock`, on Windows `locking`): it
goes with its process, however that ends, so one that a killed process left is simply taken over. The file says who
holds it. Where the file system knows no locks (some network ones), what the file says has to do: a process of this
host that has exited does not count.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from alexnet.errors import UserError

NAME = ".lock"
_WAIT_S = 1.0  # for a process that is about to end
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
_held: dict[tuple[str, int], int] = {}  # by folder and thread: how many blocks are within each other


@contextlib.contextmanager
def hold(folder: str | os.PathLike[str], what: str = "it") -> Iterator[None]:
    """Keep other processes out of `folder` within the block; the folder is made where it is missing.

    A block within a block of the same thread is let in. Where nothing but the lock is in the folder at the end, it
    is removed. A folder that was renamed meanwhile takes the lock with it, unnoticed by others; `release_moved`.

    Args:
        folder: what to lock.
        what: names it in the message, such as "the run".

    Raises:
        UserError: another process holds it; says which, on which host, since when.
        OSError: the folder cannot be made or written.
    """
    path = Path(folder).absolute()
    key = str(path), threading.get_ident()
    if key in _held:
        _held[key] += 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    path.mkdir(parents=True, exist_ok=True)
    handle = _acquire(path / NAME, what)
    _held[key] = 1
    try:
        yield
    finally:
        del _held[key]
        # Removed while it is held, so that whoever waits for it finds that it is gone and makes another.
        with contextlib.suppress(OSError):
            (path / NAME).unlink()
        os.close(handle)
        with contextlib.suppress(OSError):  # not empty, or gone
            path.rmdir()


def check_free(folder: str | os.PathLike[str], what: str = "it") -> None:
    """Raise `UserError` where another process holds `folder`; nothing is written."""
    path = Path(folder).absolute()
    if (str(path), threading.get_ident()) in _held or not (path / NAME).exists():
        return
    with contextlib.suppress(OSError):
        handle = os.open(path / NAME, os.O_RDWR)
        try:
            if not _try_lock(handle, path / NAME):
                raise UserError(_refusal(path / NAME, what))
        finally:
            os.close(handle)


def wait_free(folder: str | os.PathLike[str], seconds: float) -> None:
    """Wait until no other process holds `folder`, so long at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            check_free(folder)
            return
        except UserError:
            time.sleep(0.1)


def release_moved(folder: str | os.PathLike[str]) -> None:
    """Remove the lock file from where its folder was renamed to while this process held it."""
    (Path(folder) / NAME).unlink(missing_ok=True)


def _acquire(path: Path, what: str) -> int:
    deadline = time.monotonic() + _WAIT_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _try_lock(handle, path):
            if _is_at(handle, path):
                _write(handle)
                return handle
        elif time.monotonic() > deadline:
            os.close(handle)
            raise UserError(_refusal(path, what))
        else:
            time.sleep(0.05)
        os.close(handle)


def _try_lock(handle: int, path: Path) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond what the file says, which others must be able to read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _NO_LOCKS and not _is_alive(_read(path))
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file is still the one of that name: its former holder may have removed it just now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write(handle: int) -> None:
    about = {"pid": os.getpid(), "host": platform.node(), "since": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"}
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(about).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # the holder is about to write it
        return {}
    return values if isinstance(values, dict) else {}


def _is_alive(about: dict[str, Any]) -> bool:
    """Whether the process that the file names may be running; of other hosts nobody can tell."""
    if not about:
        return False
    if about.get("host") != platform.node():
        return True
    try:
        os.kill(int(about["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError, TypeError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _refusal(path: Path, what: str) -> str:
    about = _read(path)
    who = f"process {about.get('pid', '(unknown)')} on host {about.get('host', '(unknown)')}"
    since = f" (since {about['since']})" if "since" in about else ""
    return (
        f"{path.parent} is in use by {who}{since}: wait for it to end or stop it; {what} can be used by one at a time"
    )
