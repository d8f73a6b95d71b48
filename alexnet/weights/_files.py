"""What kind of file holds the weights, by its first bytes: people rename files."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Literal

from alexnet.errors import UserError

Format = Literal["safetensors", "mxnet", "torch"]

MXNET_LIST_MAGIC = 0x112  # kMXAPINDArrayListMagic in MXNet's src/ndarray/ndarray.cc
_SAFETENSORS_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library


def detect(path: Path) -> Format | None:
    """The format of the file at `path`; None: none of those known.

    Raises:
        UserError: there is no such file, it is a folder, it is empty or it cannot be read.
    """
    head = read_file(path, 16)
    if not head:
        raise UserError(f"{path} is empty: copy or make it again")
    if len(head) >= 8:
        (first,) = struct.unpack("<Q", head[:8])
        # Length of the JSON header, then that header. Asked first: a length of 640 bytes begins as a pickle does.
        if head[8:9] == b"{" and first <= _SAFETENSORS_MAX_HEADER:
            return "safetensors"
        if first == MXNET_LIST_MAGIC:
            return "mxnet"
    if head[:4] == b"PK\x03\x04" or (head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        return "torch"  # a zip archive (torch >= 1.6), or a bare pickle of protocol 2 to 5
    return None


def read_file(path: Path, limit: int = -1) -> bytes:
    """The first `limit` bytes of the file at `path`, or all of it; raises `UserError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name a file in it") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None


def sha256_of(path: Path) -> str:
    """SHA-256 of the file at `path`, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
