"""The wire format of protocol buffers, read without a schema compiler: what Caffe and ONNX files are made of.

A message is a sequence of fields, each a varint `number << 3 | wire` and a value: wire 0 a varint, 1 eight bytes, 2 a
varint length and that many bytes (text, bytes, a message, or packed numbers), 5 four bytes; little-endian. Numbers of
a repeated field are packed, or fields of their own one after another; a reader has to take both.

Nothing is allocated for a length before it is known to lie in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MOST_FIELDS = 1_000_000  # beside runs of numbers; a net of 200 layers with all its settings has some 10,000
_FIRST_RUN = 1024  # unpacked numbers looked at together at first; then twice as many, and so on


@dataclass(frozen=True, slots=True)
class Field:
    """One field, or a run of unpacked numbers of one field."""

    number: int
    wire: int
    value: int | memoryview
    """A varint; otherwise the bytes. Of a run: the bytes of its numbers alone, one after the other."""
    offset: int
    """Where its value begins in the file."""


class Message:
    """A message in a file.

    Args:
        path: the file, for errors.
        content: bytes of the message.
        start: where they begin in the file.
        what: what errors call the message.
    """

    def __init__(self, path: Path, content: bytes | memoryview, start: int = 0, what: str = "the file") -> None:
        self.path = path
        self.what = what
        self._content = memoryview(content)
        self._start = start

    def fields(self) -> Iterator[Field]:
        """The fields in their order; raises `UserError` where the bytes are no message."""
        content, at, count = self._content, 0, 0
        while at < len(content):
            count += 1
            if count > _MOST_FIELDS:
                raise UserError(f"{self.path}: {self.what} has more than {_MOST_FIELDS:,} fields: no net's weights")
            begin = at
            key, at = self._varint(at)
            number, wire = key >> 3, key & 7
            if not 0 < number < 1 << 29:
                self.fail(begin, f"the field number {number}")
            if wire == VARINT:
                value, after = self._varint(at)
                yield Field(number, wire, value, self._start + at)
                at = after
                continue
            if wire in (FIXED64, FIXED32):
                size = 8 if wire == FIXED64 else 4
                numbers, after = self._run(begin, at, size)
                yield Field(number, wire, numbers, self._start + at)
                at = after
                continue
            if wire != BYTES:
                self.fail(begin, f"the wire type {wire}")
            length, at = self._varint(at)
            if length > len(content) - at:
                self.fail(at, f"{length:,} bytes of field {number}, and {len(content) - at:,} are left")
            yield Field(number, wire, content[at : at + length], self._start + at)
            at += length

    def message(self, field: Field, what: str) -> Message:
        """The message in `field`, called `what` in errors."""
        return Message(self.path, self._bytes(field), field.offset, what)

    def text(self, field: Field) -> str:
        """The text in `field`, which must be UTF-8."""
        try:
            return bytes(self._bytes(field)).decode("utf-8")
        except UnicodeDecodeError:
            self.fail(field.offset - self._start, f"field {field.number}, which is not UTF-8")

    def raw(self, field: Field) -> memoryview:
        """The bytes in `field`."""
        return self._bytes(field)

    def integer(self, field: Field) -> int:
        """The number in `field`, a varint, as a signed one of 64 bits."""
        if not isinstance(field.value, int):
            self.fail(field.offset - self._start, f"field {field.number}, which should be an integer")
        return field.value - (1 << 64) if field.value >= 1 << 63 else field.value

    def integers(self, field: Field) -> list[int]:
        """The numbers in `field`, one varint or packed ones, signed."""
        if field.wire == VARINT:
            return [self.integer(field)]
        packed = Message(self.path, self._bytes(field), field.offset, self.what)
        numbers, at = [], 0
        while at < len(packed._content):
            number, at = packed._varint(at)
            numbers.append(number - (1 << 64) if number >= 1 << 63 else number)
            if len(numbers) > _MOST_FIELDS:
                raise UserError(f"{self.path}: {self.what} has more than {_MOST_FIELDS:,} integers in one field")
        return numbers

    def floats(self, field: Field, dtype: str = "<f4") -> NDArray[np.floating]:
        """The numbers in `field`: packed ones, or a run of them, as a view of the file.

        Args:
            field: the field.
            dtype: `<f4` or `<f8`, as the schema says.
        """
        size = np.dtype(dtype).itemsize
        value, wire = field.value, FIXED32 if size == 4 else FIXED64
        if isinstance(value, int) or field.wire not in (BYTES, wire) or len(value) % size:
            self.fail(field.offset - self._start, f"field {field.number}, which should hold {8 * size}-bit numbers")
        numbers: NDArray[np.floating] = np.frombuffer(value, dtype)
        return numbers

    def fail(self, at: int, problem: str) -> NoReturn:
        """Raise `UserError` for damage `at` so many bytes into the message."""
        raise UserError(
            f"{self.path} is truncated or damaged at byte {self._start + at}: {self.what} has {problem}.\n"
            "Copy or download it again."
        )

    def _bytes(self, field: Field) -> memoryview:
        if field.wire != BYTES or isinstance(field.value, int):
            self.fail(field.offset - self._start, f"field {field.number}, which should be text, bytes or a message")
        return field.value

    def _varint(self, at: int) -> tuple[int, int]:
        """The varint that begins at `at`, of 64 bits at most, and where it ends."""
        content, value, shift = self._content, 0, 0
        for index in range(at, min(at + 10, len(content))):
            byte = content[index]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (1 << 64) - 1, index + 1
            shift += 7
        return self.fail(at, "an integer that does not end")

    def _run(self, begin: int, at: int, size: int) -> tuple[memoryview, int]:
        """The numbers of this field and of those right after it under the same key, and where they end.

        Looked at in ever larger blocks: sixty million numbers that are not packed are a second's work.
        """
        content, step = self._content, at - begin + size
        if begin + step > len(content):
            self.fail(at, f"a number of {size} bytes, and {len(content) - at} are left")
        key = np.frombuffer(content[begin:at], np.uint8)
        end, length, parts = begin, _FIRST_RUN, []
        while (rows := min(length, (len(content) - end) // step)) > 0:
            block = np.frombuffer(content[end : end + rows * step], np.uint8).reshape(rows, step)
            same = (block[:, : len(key)] == key).all(axis=1)
            count = rows if same.all() else int(same.argmin())
            parts.append(block[:count, len(key) :])
            end += count * step
            if count < rows:
                break
            length *= 2
        return memoryview(np.concatenate(parts).tobytes()), end
