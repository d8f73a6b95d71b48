from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet.errors import UserError
from alexnet.weights.foreign.protobuf import Message

FILE = Path("net.caffemodel")


def fields(content: bytes):
    return list(Message(FILE, content).fields())


def test_each_wire_type():
    # 1: varint 300; 2: text "hi"; 3: fixed32 1.5; 4: fixed64 -2.0
    content = b"\x08\xac\x02\x12\x02hi\x1d" + struct.pack("<f", 1.5) + b"\x21" + struct.pack("<d", -2.0)
    message = Message(FILE, content)
    number, text, single, double = fields(content)
    assert (number.number, message.integer(number)) == (1, 300)
    assert message.text(text) == "hi"
    assert message.floats(single).tolist() == [1.5]
    assert message.floats(double, "<f8").tolist() == [-2.0]


def test_negative_integers_take_ten_bytes():
    (field,) = fields(b"\x08" + b"\xff" * 9 + b"\x01")
    assert Message(FILE, b"").integer(field) == -1


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 5000])
def test_unpacked_numbers_are_one_run(count):
    """As written by a schema without [packed = true], under a key of one byte and of two, and other fields after."""
    values = np.arange(count, dtype="<f4")
    for key in (b"\x2d", b"\x85\x01"):
        content = b"".join(key + value.tobytes() for value in values) + b"\x08\x07"
        run, last = fields(content)
        assert np.array_equal(Message(FILE, b"").floats(run), values)
        assert (last.number, last.value) == (1, 7)


def test_packed_integers():
    (field,) = fields(b"\x0a\x04\x01\xac\x02\x00")
    assert Message(FILE, b"").integers(field) == [1, 300, 0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x08", "byte 1: .*an integer that does not end"),
        (b"\x08" + b"\xff" * 11, "byte 1: .*an integer that does not end"),
        (b"\x12\x05ab", "byte 2: .*5 bytes of field 2, and 2 are left"),
        (b"\x1d\x00\x00", "byte 1: .*a number of 4 bytes, and 2 are left"),
        (b"\x00\x01", "byte 0: .*the field number 0"),
        (b"\x0b", "byte 0: .*the wire type 3"),
        (b"\x12" + b"\xff" * 8 + b"\x7f", "field 2, and 0 are left"),  # 2^63 - 1 bytes
    ],
)
def test_damage_is_placed(content, problem):
    with pytest.raises(UserError, match=problem):
        fields(content)


def test_a_claim_of_2_to_the_60_bytes_allocates_nothing():
    claim = b"\x2a" + b"\x80" * 8 + b"\x10"  # field 5, packed: 1 << 60 bytes
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=f"{1 << 60:,} bytes of field 5"):
            fields(claim + b"\0" * 100)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_too_many_fields_are_no_net():
    with pytest.raises(UserError, match="more than 1,000,000 fields"):
        fields(b"\x08\x01" * 1_000_001)


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_damage(content):
    try:
        found = fields(content)
    except UserError:
        return
    assert all(0 < field.number < 1 << 29 for field in found)
