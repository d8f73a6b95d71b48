"""What changed on disk is noticed before it is trained on."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import data
from alexnet.data.sources.idx import read_idx
from alexnet.data.sources.shards import open_shards, stream
from alexnet.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Bitmaps, all of one size in bytes, of two classes."""
    draw = np.random.default_rng(2012)
    for split, n in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = draw.integers(0, 256, (20, 20, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / split / name / f"{i}.bmp")
    return tmp_path / "pets"


def fingerprint(folder: Path) -> str:
    return data.load(folder, image_px=20, stream="always").train.fingerprint()


def test_another_photograph_of_the_same_size_is_another(photos: Path) -> None:
    before = fingerprint(photos)
    assert fingerprint(photos) == before
    a, b = photos / "train/cat/0.bmp", photos / "train/cat/1.bmp"
    first, second = a.read_bytes(), b.read_bytes()
    assert len(first) == len(second)
    a.write_bytes(second)
    b.write_bytes(first)
    assert fingerprint(photos) != before
    a.write_bytes(first)
    b.write_bytes(second)
    assert fingerprint(photos) == before


def test_a_flipped_bit_in_a_shard_is_named(photos: Path, tmp_path: Path) -> None:
    data.pack(photos, tmp_path / "packed", processes=1)
    shard = next((tmp_path / "packed").glob("train-*.tar"))
    images = data.load(tmp_path / "packed", image_px=20, stream="always", val_fraction=0).train
    before = images.fingerprint()
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=f"{shard} is damaged: not the bytes that were written"):
        images.fingerprint()
    with pytest.raises(UserError, match=f"{shard} is damaged"):
        data.load(tmp_path / "packed", image_px=20, stream="never")
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert images.fingerprint() == before


@pytest.mark.parametrize(("field", "value"), [("label", 999), ("label", -1), ("shard", 7), ("offset", 2**40)])
def test_an_index_that_points_outside_is_refused(photos: Path, tmp_path: Path, field: str, value: int) -> None:
    data.pack(photos, tmp_path / "packed", processes=1)
    path = next((tmp_path / "packed").glob("*train*.npy"))
    index = np.load(path)
    index[field][3] = value
    np.save(path, index)
    with pytest.raises(UserError, match="is damaged: entry 3 lies outside of the shards"):
        stream(open_shards(tmp_path / "packed"), "train")


@pytest.mark.parametrize("shape", [(2**31, 2**31, 2**31), (2**32 - 1, 28, 28), (28, 0, 28)])
def test_idx_headers_that_promise_the_absurd(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">III", *shape) + bytes(100))
    with pytest.raises(UserError, match="is damaged: its header promises"):
        read_idx(path, 3)
