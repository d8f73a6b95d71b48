"""What kind of file holds the weights, by its first bytes: people rename files."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from pathlib import Path
from typing import Literal

from alexnet.errors import UserError

Format = Literal["safetensors", "mxnet", "torch", "caffe", "onnx", "keras", "hdf5", "mat", "zip", "text"]

MXNET_LIST_MAGIC = 0x112  # kMXAPINDArrayListMagic in MXNet's src/ndarray/ndarray.cc
HEAD = 600
"""Bytes that tell one format from another."""
_DESCRIPTION = re.compile(rb"(\xef\xbb\xbf)?(\s|#[^\n]*\n)*[A-Za-z_]\w*\s*[:{]")  # of a prototxt's first field
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SAFETENSORS_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library


def detect(path: Path) -> Format | None:
    """The format of the file at `path`; None: none of those known.

    Raises:
        UserError: there is no such file, it is a folder, it is empty or it cannot be read.
    """
    head = read_file(path, HEAD)
    if not head:
        raise UserError(f"{path} is empty: copy or make it again")
    return _archive(path) if head[:4] == b"PK\x03\x04" else kind_of(head)


def kind_of(head: bytes) -> Format | None:
    """The format of a file that begins with `head`, `HEAD` bytes or fewer; "zip" for any zip archive."""
    if len(head) >= 8:
        (first,) = struct.unpack("<Q", head[:8])
        # Length of the JSON header, then that header. Asked first: a length of 640 bytes begins as a pickle does.
        if head[8:9] == b"{" and first <= _SAFETENSORS_MAX_HEADER:
            return "safetensors"
        if first == MXNET_LIST_MAGIC:
            return "mxnet"
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"  # a bare pickle of protocol 2 to 5
    if head[:10] == b"MATLAB 5.0":
        return "mat"
    if _HDF5 in (head[:8], head[512:520]):  # MATLAB's 7.3 files are HDF5 after a block of text
        return "hdf5"
    if looks_like_onnx(head):
        return "onnx"
    if looks_like_caffemodel(head):
        return "caffe"
    return "text" if _DESCRIPTION.match(head) and b"{" in head else None


def looks_like_onnx(head: bytes) -> bool:
    """Whether these may be ONNX's first bytes: its version comes first, a small number, then another known field."""
    return len(head) > 2 and head[0] == 0x08 and head[1] < 0x40 and head[2] in b"\x12\x1a\x22\x28\x32\x3a\x42\x72"


def looks_like_caffemodel(head: bytes) -> bool:
    """Whether these may be a `.caffemodel`'s first bytes: the net's name, its input, or a layer of either form."""
    if head[:1] == b"\x0a" and len(head) > 2 and head[1] < 0x80 and len(head) > head[1] + 2:
        return looks_like_caffemodel(head[2 + head[1] :]) or head[2 + head[1]] in b"\x12\x1a\x20\x22\x28\x32\x38\x42"
    return head[:1] in (b"\x12", b"\x1a") or head[:2] == b"\xa2\x06"


def _archive(path: Path) -> Format:
    """What a zip archive is, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, UnicodeDecodeError, struct.error):
        return "torch"  # whose reader says that it is damaged
    if "model.weights.h5" in names:
        return "keras"
    return "torch" if any(name.endswith("data.pkl") for name in names) else "zip"


def read_file(path: Path, limit: int = -1, *, skip: int = 0) -> bytes:
    """`limit` bytes of the file at `path` after the first `skip`, or all; `UserError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(skip)
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
