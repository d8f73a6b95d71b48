"""Files of CIFAR are read without letting what they say reach numpy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.data.sources.cifar import open_cifar
from alexnet.data.sources.source import ImageSpec
from alexnet.errors import UserError

SPEC = ImageSpec(None, 32, 3)
PIXELS = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)


def write(folder: Path, labels: Any = None, names: Any = None, pixels: Any = PIXELS, protocol: int = 2) -> Path:
    """A CIFAR-10 folder of two images a batch."""
    folder.mkdir(parents=True, exist_ok=True)
    batch = {b"data": pixels, b"labels": [0, 9] if labels is None else labels}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    names = [f"class {i}" for i in range(10)] if names is None else names
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol))
    return folder


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_the_two_layouts_and_all_protocols(protocol: int, tmp_path: Path) -> None:
    source = open_cifar("cifar10", write(tmp_path, protocol=protocol))
    assert source is not None
    images = source.read("test", SPEC)
    assert images.labels_N.tolist() == [0, 9]
    assert np.array_equal(images.pixels_NHWC.numpy(), PIXELS.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))


class Pointers:
    """Pickled as an array of objects over bytes that the file chooses: numpy would follow them."""

    def __reduce__(self) -> Any:
        array: Any = np.zeros(2, np.uint8)
        made, args, _ = array.__reduce__()
        return made, args, (1, (2,), np.dtype("O"), False, b"\x41" * 16)


class Forged:
    """An array that claims more than it holds."""

    def __reduce__(self) -> Any:
        array: Any = np.zeros(2, np.uint8)
        made, args, _ = array.__reduce__()
        return made, args, (1, (2**60,), np.dtype("u1"), False, b"\x41" * 16)


class Command:
    def __reduce__(self) -> Any:
        return Path, ("/",)


@pytest.mark.parametrize(
    "labels", [Pointers(), Forged(), Command(), [None, 1], "ab", [[1], [2]], [-1, 1], [2**70, 1], 7]
)
def test_labels_that_are_none(labels: Any, tmp_path: Path) -> None:
    source = open_cifar("cifar10", write(tmp_path, labels=labels))
    assert source is not None
    with pytest.raises(UserError, match="data_batch_1"):
        source.read("train", SPEC)


@pytest.mark.parametrize("names", [[10**9] * 10, "text", [], [b"\xff"], {"a": 1}, Pointers(), ["x"] * 2000])
def test_names_that_are_none(names: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"batches\.meta"):
        open_cifar("cifar10", write(tmp_path, names=names))


@pytest.mark.parametrize("pixels", [Pointers(), PIXELS.astype(np.int64), PIXELS[:1], np.zeros((2, 5), np.uint8), "x"])
def test_pixels_that_are_none(pixels: Any, tmp_path: Path) -> None:
    source = open_cifar("cifar10", write(tmp_path, pixels=pixels))
    assert source is not None
    with pytest.raises(UserError, match="data_batch_1"):
        source.read("train", SPEC)
