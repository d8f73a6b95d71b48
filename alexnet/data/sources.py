"""The sources that have names, and how a source is found."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.config import UserError
from alexnet.data.arrays import fit_array
from alexnet.data.dataset import Images, SplitName
from alexnet.data.folder import open_folder
from alexnet.data.source import Source, Wanted
from alexnet.data.split import TEST_SHARE, stratified

DIGITS_PX = 32
"""Side the 8 x 8 digits are brought to where nothing else is asked for."""


def names() -> tuple[str, ...]:
    """The sources that have names."""
    return tuple(_SOURCES)


def find(source: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Source:
    """The source of that name, or the folder at that path; a name comes first.

    Raises:
        UserError: there is neither, or its files cannot be found.
    """
    name = os.fspath(source)
    if name in _SOURCES:
        return _SOURCES[name](root)
    path = Path(name).expanduser() if root is None else Path(root).expanduser() / name
    if path.is_dir():
        return open_folder(path)
    known = ", ".join(_SOURCES)
    if path.exists():
        raise UserError(f"{path} is a file: give the folder of images, or one of the names {known}")
    near = difflib.get_close_matches(name.lower().replace("-", "_"), _SOURCES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"{name!r} is neither a source's name ({known}) nor a folder: {path} does not exist{hint}")


def _digits(root: Any) -> Source:
    if root is not None:
        raise UserError("digits come with scikit-learn: drop --root")
    return Source(
        class_names=tuple("0123456789"),
        in_channels=1,
        read=_read_digits,
        splits=("train", "test"),
        origin={
            "path": "scikit-learn's bundled digits",
            "split": f"{TEST_SHARE} of each class are for testing, drawn once and for all",
        },
    )


def _read_digits(split: SplitName, wanted: Wanted) -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels_N = bunch.target.astype(np.int64)
    pixels_NHW = np.round(bunch.images * (255 / 16)).astype(np.uint8)  # they are counts of dark points, 0..16
    import torch

    is_test = np.zeros(len(labels_N), dtype=bool)
    is_test[stratified(torch.from_numpy(labels_N), TEST_SHARE, seed=0).numpy()] = True
    chosen = is_test if split == "test" else ~is_test
    return fit_array(pixels_NHW[chosen, :, :, None], labels_N[chosen], DIGITS_PX, wanted)


_SOURCES: dict[str, Callable[[Any], Source]] = {"digits": _digits}
