"""MATLAB's `.mat` files of versions 5 to 7, without MATLAB and without scipy, which damaged ones take down.

The format is MathWorks' "MAT-File Format": a header of 128 bytes, then elements, each a type and a length (8 bytes,
or 4 of them where the data has 4 bytes or fewer) and data, padded to 8 bytes. A matrix is an element of elements; a
compressed element holds another one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError

Struct = dict[str, Any]
"""A struct of one element, its values by field name."""
Value = NDArray[Any] | str | list[Any] | Struct | None
"""Numbers in MATLAB's order of axes; text; the cells or structs of an array, in order; None: of another class."""

_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1",
           17: "u2", 18: "u4"}  # fmt: skip
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMBERS = 1, 2, 4, range(6, 16)
_LARGEST = 1 << 30  # bytes of an element, unpacked
_MOST_VALUES = 200_000
_DEEPEST = 16


def read_mat(path: Path, content: bytes) -> dict[str, Value]:
    """The variables of a `.mat` file whose bytes are `content`; raises `UserError` for damage."""
    reader = _Reader(path, content)
    variables: dict[str, Value] = {}
    for kind, data in reader.elements(memoryview(content)[128:]):
        for inner_kind, inner in reader.elements(reader.unpack(data)) if kind == _COMPRESSED else [(kind, data)]:
            if inner_kind == _MATRIX:
                name, value = reader.matrix(inner, 0)
                variables[name] = value
    return variables


class _Reader:
    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
            self.fail("its header is not that of MATLAB 5 to 7")
        self.order = "<" if content[126:128] == b"IM" else ">"
        self.values = 0

    def fail(self, problem: str) -> NoReturn:
        raise UserError(f"{self.path} is truncated or damaged: {problem}.\nCopy or download it again.")

    def elements(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Type and data of each element in `data`."""
        at = 0
        while at + 8 <= len(data):
            kind, length = struct.unpack_from(self.order + "II", data, at)
            if kind >> 16:  # a small element: type and length in half as many bytes, then 4 of data
                kind, length, begin, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
                if length > 4:
                    self.fail(f"a small element of {length} bytes")
            else:
                begin = at + 8
                end = begin + length + (0 if kind == _COMPRESSED else -length % 8)
            if begin + length > len(data):
                self.fail(f"an element of {length:,} bytes, and {len(data) - begin:,} are left")
            yield kind, data[begin : begin + length]
            at = end

    def unpack(self, data: memoryview) -> memoryview:
        packed = zlib.decompressobj()
        try:
            return memoryview(packed.decompress(data, _LARGEST))
        except zlib.error as error:
            self.fail(f"a compressed variable: {error}")

    def matrix(self, data: memoryview, depth: int) -> tuple[str, Value]:
        """Name and value of a matrix."""
        self.values += 1
        if self.values > _MOST_VALUES or depth > _DEEPEST:
            self.fail("it holds absurdly many values, or is nested absurdly deep")
        parts = self.elements(data)
        head = [part for _, part in zip(range(3), parts, strict=False)]
        if not head:
            return "", np.zeros((0, 0))
        if len(head) < 3 or len(head[0][1]) < 8:
            self.fail("a matrix without type, dimensions and name")
        kind = struct.unpack_from(self.order + "I", head[0][1])[0] & 0xFF
        shape = tuple(int(side) for side in self.numbers(*head[1]))
        name = bytes(head[2][1]).decode("utf-8", "replace")
        if not 0 < len(shape) <= 8 or min(shape) < 0:
            self.fail(f"{name!r} has {len(shape)} dimensions, or negative ones")
        count = 1
        for side in shape:
            count *= side
        if kind == _CELL:
            return name, [self.inner(part, depth) for part in parts]
        if kind == _STRUCT:
            return name, self.structs(name, parts, count, depth)
        if kind == _CHAR:
            values = self.numbers(*next(parts, (4, memoryview(b""))))
            if len(values) != count:
                self.fail(f"the text {name!r} has {len(values)} letters, not {count}")
            return name, "".join(chr(value) for value in values.tolist() if value < 0x110000)
        if kind not in _NUMBERS:
            return name, None  # an object or a sparse matrix: no part of a net
        values = self.numbers(*next(parts, (9, memoryview(b""))))
        if len(values) != count:
            self.fail(f"{name or 'an array'} has the shape {'x'.join(map(str, shape))} and {len(values):,} values")
        # Numbers may be stored in fewer bytes than their class has; singles and doubles are floats all the same.
        values = values.astype({6: "f8", 7: "f4"}[kind]) if kind in (6, 7) else values
        return name, values.reshape(shape, order="F")

    def structs(self, name: str, parts: Iterator[tuple[int, memoryview]], count: int, depth: int) -> Value:
        """One struct, or those of a struct array in order."""
        lengths, names = (self.numbers(*next(parts, (5, memoryview(b"")))) for _ in range(2))
        width = int(lengths[0]) if len(lengths) else 0
        if not 0 < width <= 256:
            self.fail(f"the struct {name!r} has field names of {width} bytes")
        text = names.astype("u1").tobytes()
        fields = [
            text[at : at + width].split(b"\0")[0].decode("utf-8", "replace") for at in range(0, len(text), width)
        ]
        values = [self.inner(part, depth) for part in parts]
        if len(values) != count * len(fields):
            self.fail(f"the struct {name!r} has {len(values)} values for {len(fields)} fields")
        made = [
            dict(zip(fields, values[at : at + len(fields)], strict=True))
            for at in range(0, len(values), max(1, len(fields)))
        ]
        return made[0] if len(made) == 1 else list(made)

    def inner(self, part: tuple[int, memoryview], depth: int) -> Value:
        if part[0] != _MATRIX:
            self.fail(f"an element of type {part[0]} where a matrix should be")
        return self.matrix(part[1], depth + 1)[1]

    def numbers(self, kind: int, data: memoryview) -> NDArray[Any]:
        """The numbers of an element, in the machine's byte order."""
        if kind not in _STORED:
            self.fail(f"numbers of the type {kind}")
        dtype = np.dtype(self.order + _STORED[kind])
        if len(data) % dtype.itemsize:
            self.fail(f"numbers of {dtype.itemsize} bytes in {len(data)} bytes")
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
