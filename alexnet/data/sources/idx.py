"""MNIST's IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexnet.data.dataset import Images, SplitName
from alexnet.data.images.arrays import fit_array
from alexnet.data.sources.source import ImageSpec, Source
from alexnet.errors import UserError
from alexnet.files import reason_of

_STEMS: dict[SplitName, str] = {"train": "train", "test": "t10k"}
_LARGEST_BYTES = 2**32  # the largest set known, EMNIST, has 0.6 GB
_UBYTE = 0x08  # the third byte of an IDX file: its dtype; the fourth is the number of dimensions

# The files of these sets have the same names, and only their labels tell them apart.
_FIRST_LABELS = {
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    "fashion_mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
}


def open_idx(name: str, folder: Path, class_names: tuple[str, ...]) -> Source | None:
    """The IDX files in `folder` as the source `name`; None where there are none."""
    if _find(folder, "train", "images", 3) is None:
        return None

    def read(split: SplitName, spec: ImageSpec) -> Images:
        pixels_NHW, labels_N = _read_split(name, folder, split, len(class_names))
        return fit_array(pixels_NHW[..., None], labels_N, pixels_NHW.shape[1], spec)

    return Source(
        class_names=class_names,
        in_channels=1,
        read=read,
        splits=("train", "test"),
        origin={"path": str(folder), "split": "train and test as published"},
    )


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes.

    Args:
        path: the file, gzipped or not, whatever its name.
        dimensions: number of dimensions it must have.

    Raises:
        UserError: the file is missing or broken, or holds something else.
    """
    try:
        with _open(path) as file:
            header = file.read(4 + 4 * dimensions)
            if header[:4] != bytes((0, 0, _UBYTE, dimensions)) or len(header) != 4 + 4 * dimensions:
                raise UserError(f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions")
            shape = tuple(int(side) for side in np.frombuffer(header, ">u4", offset=4))
            expected = math.prod(shape)
            if not 0 < expected <= _LARGEST_BYTES:
                raise UserError(f"{path} is damaged: its header promises {' x '.join(map(str, shape))} values")
            # Into one buffer, a tensor over which can be written to; one byte more than due shows a file too long.
            data = bytearray(file.read(expected + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {reason_of(error)}") from error
    if len(data) != expected:
        raise UserError(f"{path} does not hold the {expected:,} bytes its header promises")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _open(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _find(folder: Path, stem: str, kind: str, dimensions: int) -> Path | None:
    """Path of e.g. `train-images-idx3-ubyte`, with either separator some copies have, gzipped or not."""
    for separator in "-.":
        for ending in ("", ".gz"):
            path = folder / f"{stem}-{kind}{separator}idx{dimensions}-ubyte{ending}"
            if path.is_file():
                return path
    return None


def _read_split(
    name: str, folder: Path, split: SplitName, classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    arrays = []
    for kind, dimensions in (("images", 3), ("labels", 1)):
        path = _find(folder, _STEMS[split], kind, dimensions)
        if path is None:
            raise UserError(
                f"{folder} has no {_STEMS[split]}-{kind}-idx{dimensions}-ubyte(.gz): put it beside the others"
            )
        arrays.append(read_idx(path, dimensions))
    pixels_NHW, labels_N = arrays
    if len(pixels_NHW) != len(labels_N):
        raise UserError(f"{folder}: {len(pixels_NHW):,} {split} images, but {len(labels_N):,} labels")
    if labels_N.max(initial=0) >= classes:
        raise UserError(f"{folder}: a {split} label is {labels_N.max()}, but {name} has {classes} classes")
    for other, first in _FIRST_LABELS.items():
        if other != name and split == "train" and labels_N[:10].tolist() == first:
            raise UserError(f"the files in {folder} are those of {other}, not of {name}")
    return pixels_NHW, labels_N.astype(np.int64)
