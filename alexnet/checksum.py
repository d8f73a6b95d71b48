"""Checksums of what is written, fast enough to be looked at every time it is read.

A checksum is eight hexadecimal digits. Up to 64 KiB it is the bytes' CRC-32. Of more, the bytes are taken as unsigned
64-bit little-endian integers in rows of 4,093; their sums by column, modulo 2^64, then what is left at the end, then
the length in bytes (8 bytes, little-endian) are the message whose CRC-32 it is. So every single flipped bit shows, as
does any change within 32 KiB, a cut, and a block of a disk in a wrong place; and it is seven times as fast as the
CRC-32 of all bytes. It is no signature: who changes a file on purpose can change its checksum too.
"""

from __future__ import annotations

import mmap
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_SHORT = 1 << 16
_ROW = 4093  # a prime, so that no block of a disk is a whole number of rows
_END = b"PK\x05\x06"  # of a zip archive: a record of 22 bytes that ends with the length of the comment after it
_END_BYTES = 22
_MARK = b"alexnet-checksum:"
_BLOCK = 1 << 20


def of_bytes(content: Any) -> str:
    """The checksum of a buffer: bytes, a memory map, or a C-contiguous array."""
    view = memoryview(content).cast("B")
    if len(view) <= _SHORT:
        return f"{zlib.crc32(view):08x}"
    rows = len(view) // (8 * _ROW)
    words = np.frombuffer(view, "<u8", count=rows * _ROW).reshape(rows, _ROW)
    crc = zlib.crc32(np.add.reduce(words, axis=0, dtype=np.uint64).astype("<u8").tobytes())
    crc = zlib.crc32(view[8 * rows * _ROW :], crc)
    return f"{zlib.crc32(len(view).to_bytes(8, 'little'), crc):08x}"


def of_arrays(arrays: Mapping[str, Any]) -> str:
    """The checksum of named arrays of numpy, in any order: their names, dtypes, shapes and bytes."""
    crc = 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        told = f"{name}\0{array.dtype.str}\0{array.shape}\0{of_bytes(array.reshape(-1).view(np.uint8))}\0"
        crc = zlib.crc32(told.encode(), crc)
    return f"{crc:08x}"


def of_file(path: Path, size: int | None = None) -> str:
    """The checksum of a file, or of its first `size` bytes."""
    with path.open("rb") as file:
        size = path.stat().st_size if size is None else size
        if size <= _SHORT:
            return of_bytes(file.read(size))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            found = np.frombuffer(view, np.uint8, count=size)
            digest = of_bytes(found)
            del found  # a map cannot be closed while an array looks at it
            return digest


def seal_zip(path: Path) -> None:
    """Give a zip archive without a comment its checksum for one; other programs read it as before.

    Raises:
        ValueError: the file is no such archive.
    """
    with path.open("r+b") as file:
        file.seek(-_END_BYTES, 2)
        if file.read()[:4] != _END:
            raise ValueError(f"{path} is no zip archive without a comment")
        file.seek(-2, 2)
        file.write((len(_MARK) + 8).to_bytes(2, "little") + _MARK)
        file.flush()
        file.write(of_file(path).encode())


def damage_of_zip(path: Path) -> str | None:
    """What is wrong with a zip archive (a file of torch); None: every byte that matters is as it was written.

    One that `seal_zip` marked is compared with that checksum; any other with the CRC-32 of each of its members, as
    `unzip -t` does and `torch.load` does not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - len(_MARK) - 8))
        last = file.read()
    if last.startswith(_MARK):
        return None if of_file(path, size - 8).encode() == last[-8:] else "its checksum is not that of its content"
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as content:
                    while content.read(_BLOCK):
                        pass
    except Exception as error:  # zipfile, zlib and struct raise all kinds on damaged archives
        return str(error) or type(error).__name__
    return None


def is_zip(path: Path) -> bool:
    """Whether the file begins as a zip archive does."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
