"""MXNet's NDArray files (`.params`), read without MXNet.

A file is, little-endian throughout: uint64 0x112, uint64 reserved, uint64 number of arrays, the arrays, uint64
number of names, and each name as uint64 length and bytes. An array is one of (MXNet 1.9, src/ndarray/ndarray.cc):

    V2, V3   uint32 magic, int32 storage type, int32 ndim, int64 dims, context, int32 type flag, values
    V1       uint32 magic,                     int32 ndim, int64 dims, context, int32 type flag, values
    legacy                                    uint32 ndim, uint32 dims, context, int32 type flag, values

where the context is int32 device type and int32 device number. V3 differs from V2 in that ndim 0 is a scalar, where
V2 means an array that has no values yet and writes nothing more of it.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import NoReturn

import numpy as np

from alexnet.errors import UserError
from alexnet.weights._files import MXNET_LIST_MAGIC, read_file

_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "<u1", 4: "<i4", 5: "<i1", 6: "<i8"}  # mshadow's type flags
_OTHER_DTYPES = {7: "bool", 8: "int16", 9: "uint16", 10: "uint32", 11: "uint64", 12: "bfloat16"}
_SPARSE_STORAGE = {1: "row_sparse", 2: "csr"}
_MAX_NDIM = 32  # numpy's before 2.0; layers have 4 at most


def read_params(path: str | Path, content: bytes | None = None) -> dict[str, np.ndarray]:
    """All arrays of an MXNet NDArray file by name, in the file's order and its dtypes.

    The prefixes `arg:` and `aux:` that `Module` writes are dropped: the first marks weights, the second running
    statistics, and no name may occur under both. Arrays without names are called "0", "1", ...

    Args:
        path: the file.
        content: its bytes, where they are known already, as from an archive; `path` then serves for errors.

    Raises:
        UserError: the file is missing, truncated or damaged (with the offset), or it holds sparse arrays, number
            types other than fp16, fp32, fp64, uint8, int8, int32 and int64, or arrays without values.
    """
    path = Path(path)
    reader = _Reader(path, read_file(path) if content is None else content)
    if reader.integer("Q", "the file's magic number") != MXNET_LIST_MAGIC:
        raise UserError(f"{path} is not an MXNet NDArray file")
    reader.integer("Q", "the reserved number")
    # No list is made ahead of reading: each array takes bytes, so an absurd count ends with the file.
    arrays: list[np.ndarray] = []
    count = reader.integer("Q", "the number of arrays")
    while len(arrays) < count:
        arrays.append(_read_array(reader, len(arrays)))
    names = _read_names(reader, len(arrays))
    if reader.offset != len(reader.content):
        reader.fail("the file goes on after its last name")
    return dict(zip(names, arrays, strict=True))


def _read_array(reader: _Reader, index: int) -> np.ndarray:
    what = f"array {index}"
    magic = reader.integer("I", f"the header of {what}")
    if magic in (_V2, _V3):
        storage = reader.integer("i", f"the storage type of {what}")
        if storage in _SPARSE_STORAGE:
            raise UserError(
                f"{reader.path}: {what} is stored as {_SPARSE_STORAGE[storage]}, which is not read: "
                "save it dense, with .tostype('default')"
            )
        if storage != 0:
            reader.fail(f"{what} has the unknown storage type {storage}", back=4)
    if magic in (_V1, _V2, _V3):
        shape = reader.shape("i", "q", f"the shape of {what}")
    else:
        reader.offset -= 4  # no magic: this number is the legacy header's ndim
        shape = reader.shape("I", "I", f"the shape of {what}")
    if min(shape, default=1) < 1 or (not shape and magic != _V3):
        raise UserError(
            f"{reader.path}: {what} has shape {shape} and so no values: "
            "the net was saved before its first batch fixed its shapes"
        )
    reader.take(8, f"the context of {what}")  # device it lay on
    flag = reader.integer("i", f"the dtype of {what}")
    if flag in _OTHER_DTYPES:
        raise UserError(f"{reader.path}: {what} holds {_OTHER_DTYPES[flag]}, which is not read: cast it to float32")
    if flag not in _DTYPES:
        reader.fail(f"{what} has the unknown dtype {flag}", back=4)
    dtype = np.dtype(_DTYPES[flag])
    values = reader.take(math.prod(shape) * dtype.itemsize, f"the values of {what}, shape {shape}")
    # astype copies: out of the file's bytes into memory that is aligned, writable and in the machine's byte order.
    return np.frombuffer(values, dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def _read_names(reader: _Reader, arrays: int) -> list[str]:
    start = reader.offset
    count = reader.integer("Q", "the number of names")
    if count == 0:
        return [str(index) for index in range(arrays)]
    if count != arrays:
        reader.fail(f"{count} names for {arrays} arrays", back=8)
    names: dict[str, None] = {}  # in their order
    for index in range(count):
        length = reader.integer("Q", f"the length of name {index}")
        name = reader.take(length, f"name {index}")
        try:
            text = bytes(name).decode("utf-8").removeprefix("arg:").removeprefix("aux:")
        except UnicodeDecodeError:
            reader.fail(f"name {index} is not UTF-8", back=length)
        if text in names:
            raise UserError(f"{reader.path}: the name {text!r} occurs twice (names begin at byte {start})")
        names[text] = None
    return list(names)


class _Reader:
    """A position in a file's content; reading past the end raises `UserError` with the offset."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        self.offset = 0

    def take(self, size: int, what: str) -> memoryview:
        """The next `size` bytes, without a copy."""
        left = len(self.content) - self.offset
        if size > left:
            self.fail(f"{what} needs {size:,} bytes and {left:,} are left")
        self.offset += size
        return memoryview(self.content)[self.offset - size : self.offset]

    def integer(self, kind: str, what: str) -> int:
        """The next number of struct's type `kind`."""
        value: int = struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind), what))[0]
        return value

    def shape(self, ndim_kind: str, dim_kind: str, what: str) -> tuple[int, ...]:
        """ndim and then that many dimensions; an ndim of -1 (unknown, in V3) reads as the shape (-1,)."""
        ndim = self.integer(ndim_kind, what)
        if ndim == -1:
            return (-1,)
        if not 0 <= ndim <= _MAX_NDIM:
            self.fail(f"{what} has {ndim} dimensions", back=4)
        return tuple(self.integer(dim_kind, what) for _ in range(ndim))

    def fail(self, problem: str, back: int = 0) -> NoReturn:
        """Raise `UserError` for damage found `back` bytes before the position."""
        raise UserError(
            f"{self.path} is truncated or damaged at byte {self.offset - back}: {problem}.\n"
            "Copy it again, or save it again with MXNet."
        )
