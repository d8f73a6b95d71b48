"""Checksums find what disks and copies do to files, and are what the module says."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet import checksum


def by_the_book(content: bytes) -> str:
    """As the module's first lines say, in plain Python."""
    if len(content) <= 65536:
        return f"{zlib.crc32(content):08x}"
    row = 8 * 4093
    rows = len(content) // row
    sums = [0] * 4093
    for start in range(0, rows * row, 8):
        column = start // 8 % 4093
        sums[column] = (sums[column] + int.from_bytes(content[start : start + 8], "little")) % 2**64
    told = b"".join(each.to_bytes(8, "little") for each in sums) + content[rows * row :]
    return f"{zlib.crc32(told + len(content).to_bytes(8, 'little')):08x}"


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 98232, 200_001])
def test_against_plain_python(size: int, tmp_path: Path) -> None:
    content = random.Random(size).randbytes(size)
    assert checksum.of_bytes(content) == by_the_book(content)
    (tmp_path / "file").write_bytes(content + b"more")
    assert checksum.of_file(tmp_path / "file", size) == by_the_book(content)


def test_what_happens_to_files() -> None:
    draw = random.Random(2012)
    content = draw.randbytes(300_000)
    known = checksum.of_bytes(content)
    for _ in range(200):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        assert checksum.of_bytes(changed) != known
    assert checksum.of_bytes(content[:-1]) != known
    assert checksum.of_bytes(content + b"\0") != known
    assert checksum.of_bytes(content[:4096] + bytes(4096) + content[8192:]) != known
    swapped = content[4096:8192] + content[:4096] + content[8192:]
    assert checksum.of_bytes(swapped) != known


def test_arrays_by_name_dtype_shape_and_values() -> None:
    a, b = np.arange(6.0), np.ones(3)
    known = checksum.of_arrays({"a": a, "b": b})
    assert checksum.of_arrays({"b": b, "a": a}) == known
    others = [{"a": b, "b": a}, {"a": a}, {"a": a.reshape(2, 3), "b": b}, {"a": a.astype("f4"), "b": b}]
    assert len({checksum.of_arrays(each) for each in others} | {known}) == 5


def test_a_file_of_torch_that_carries_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"w": torch.arange(40_000)}, path)
    assert checksum.damage_of_zip(path) is None
    checksum.seal_zip(path)
    assert checksum.damage_of_zip(path) is None
    assert torch.load(path, weights_only=True)["w"].tolist() == list(range(40_000))
    written = bytearray(path.read_bytes())
    written[len(written) // 2] ^= 4
    path.write_bytes(written)
    assert checksum.damage_of_zip(path) == "its checksum is not that of its content"
    path.write_bytes(b"no archive at all, long enough to have an end")
    with pytest.raises(ValueError, match="no zip archive"):
        checksum.seal_zip(path)
