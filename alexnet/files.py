"""Files that are either whole or absent, and reads and downloads that do not hang."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LARGEST_FILE_BYTES = 2**30


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write `path` so that readers see the old file or the new one, never a part, even after a kill.

    Yields a temporary path in the same folder, already created and empty. When the block ends without an
    exception, that file is synced to disk and takes the name `path`; otherwise it is removed and `path` stays
    as it was. A process killed inside the block leaves a hidden `.NAME.*.tmp` file behind, which nothing reads.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full.
    """
    path = Path(path)
    # A random name, so that two processes writing the same path do not share a temporary file.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    part.touch(exist_ok=False)
    try:
        yield part
        _sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_json(path: str | Path, values: Any) -> None:
    """Write `values` (plain JSON values) to `path` atomically: indent 2, UTF-8, a newline at the end.

    Raises:
        ValueError: `values` holds NaN or an infinity, which JSON does not have.
        OSError: as `atomic_write`.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def socket_timeout(seconds: float = 30.0) -> Iterator[None]:
    """Sockets opened in the block raise `TimeoutError` after `seconds` of silence; for downloads without a limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _sync(path: Path) -> None:
    """Wait until `path`, a file or a folder, is on disk; systems that cannot open folders skip those."""
    if os.name == "nt" and path.is_dir():
        return
    # Windows flushes only handles open for writing; folders open only for reading.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_regular(path: str | Path) -> int:
    """Descriptor of a regular file, or of one that a link leads to; reading a pipe or a device might never end.

    Raises:
        OSError: the file cannot be opened, is no regular file, or is larger than 1 GiB.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_FILE_BYTES:
        return handle
    os.close(handle)
    if stat.S_ISREG(status.st_mode):
        raise OSError(errno.EFBIG, "larger than 1 GiB", os.fspath(path))
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def read_bytes(path: str | Path) -> bytes:
    """Content of a regular file; for many small files, half the time of `open`.

    Raises:
        OSError: the file cannot be read, see `open_regular`.
    """
    handle = open_regular(path)
    try:
        data = os.read(handle, 1 << 16)
        if len(data) < 1 << 16:
            return data
        parts = [data]
        while data := os.read(handle, 1 << 24):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(handle)


def reason_of(error: BaseException) -> str:
    """What went wrong, in a few words, without the path."""
    cause = getattr(error, "reason", None)  # urllib wraps the error that says what happened
    if isinstance(cause, Exception):
        return reason_of(cause)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
