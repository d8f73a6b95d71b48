"""CIFAR-10 and CIFAR-100 as published: Python pickles in a folder or in its archive, read without running code."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.data.dataset import Images, SplitName
from alexnet.data.images.arrays import fit_array
from alexnet.data.sources.source import ImageSpec, Source
from alexnet.errors import UserError
from alexnet.files import reason_of

_PX = 32
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Layout:
    """Where the parts of a CIFAR set are."""

    folder: str
    """The archive's only folder."""
    archive: str
    md5: str
    """Of the archive."""
    batches: dict[SplitName, tuple[str, ...]]
    meta: str
    names_key: bytes
    labels_key: bytes


# File names, keys and check sums: https://www.cs.toronto.edu/~kriz/cifar.html
LAYOUTS = {
    "cifar10": Layout(
        folder="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        batches={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
        meta="batches.meta",
        names_key=b"label_names",
        labels_key=b"labels",
    ),
    "cifar100": Layout(
        folder="cifar-100-python",
        archive="cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        batches={"train": ("train",), "test": ("test",)},
        meta="meta",
        names_key=b"fine_label_names",
        labels_key=b"fine_labels",
    ),
}


def open_cifar(name: str, root: Path) -> Source | None:
    """The CIFAR set `name` at `root`; None where it is not there.

    `root` may be the archive, the unpacked folder, or a folder that holds either.

    Raises:
        UserError: the archive is damaged, or a file is missing or broken.
    """
    layout = LAYOUTS[name]
    store = _store(layout, root)
    if store is None:
        return None
    meta = _unpickle(next(_members(store, [layout.meta]))[1], store / layout.meta)
    class_names = _names(_value(meta, layout.names_key, store / layout.meta), store / layout.meta)

    def read(split: SplitName, spec: ImageSpec) -> Images:
        pixels_NHWC, labels_N = _read_batches(store, layout.batches[split], layout.labels_key, len(class_names))
        return fit_array(pixels_NHWC, labels_N, _PX, spec)

    return Source(
        class_names=class_names,
        in_channels=3,
        read=read,
        splits=("train", "test"),
        origin={"path": str(store), "split": "train and test as published"},
    )


def _store(layout: Layout, root: Path) -> Path | None:
    """The unpacked folder or, found whole, the archive; folders go first as they are read faster."""
    for folder in (root / layout.folder, root):
        if (folder / layout.meta).is_file() and (folder / layout.batches["train"][0]).is_file():
            return folder
    for archive in (root / layout.archive, root):
        if archive.is_file():
            _check_md5(archive, layout.md5)
            return archive
    return None


def _check_md5(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        raise UserError(
            f"{path} is damaged or incomplete (its MD5 is {found}, not {expected}): remove it, fetch it again"
        )


def _members(store: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each of the files `names`, in the order in which they are stored."""
    missing = set(names)
    try:
        if store.is_dir():
            for name in names:
                yield name, (store / name).read_bytes()
            return
        with tarfile.open(store) as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if name in missing else None
                if file is not None:
                    missing.remove(name)
                    yield name, file.read()
                if not missing:
                    return
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"cannot read {store}: {error}") from error
    raise UserError(f"{store} has no {', '.join(sorted(missing))}")


def _read_batches(
    store: Path, names: Sequence[str], labels_key: bytes, classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels uint8 [N, 32, 32, 3] and labels [N] of several batches, in the order of `names`."""
    batches = {
        name: _batch(_unpickle(data, store / name), labels_key, store / name) for name, data in _members(store, names)
    }
    labels_N = np.concatenate([batches[name][1] for name in names])
    if labels_N.min(initial=0) < 0 or labels_N.max(initial=0) >= classes:
        raise UserError(f"{store}: labels run to {labels_N.max()}, but there are names for {classes} classes")
    pixels_NHWC = np.empty((len(labels_N), _PX, _PX, 3), np.uint8)
    start = 0
    for name in names:
        pixels_NCHW, _ = batches.pop(name)  # each is freed once it is copied
        pixels_NHWC[start : start + len(pixels_NCHW)] = pixels_NCHW.transpose(0, 2, 3, 1)
        start += len(pixels_NCHW)
    return pixels_NHWC, labels_N


def _batch(values: Any, labels_key: bytes, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    pixels, labels = _value(values, b"data", path), _labels(_value(values, labels_key, path), path)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * _PX * _PX):
        raise UserError(f"{path} does not hold uint8 pixels of {len(labels)} images of 3 x {_PX} x {_PX}")
    return pixels.reshape(-1, 3, _PX, _PX), labels


def _value(values: Any, key: bytes, path: Path) -> Any:
    # Files that Python 3 wrote again have text for keys.
    for known in (key, key.decode()):
        if isinstance(values, dict) and known in values:
            return values[known]
    raise UserError(f"{path} has no entry {key.decode()!r}: it is no CIFAR file")


# --- pickles -----------------------------------------------------------------------------------------------------


class _NoArray:
    """In the place of numpy's dtype and array while a pickle is read: what it says of them, and no array yet.

    numpy's own `__setstate__` takes any dtype, and an array of objects is one of pointers that the file could choose.
    """

    def __init__(self, *said: Any) -> None:
        self.said: tuple[Any, ...] = said
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _DType(_NoArray):
    """A dtype as a pickle describes it."""

    def name(self) -> str:
        """As numpy spells it, byte order included; raises `UnpicklingError` unless it is a plain number's."""
        code = self.said[0] if self.said else None
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(code, str) or code not in _NUMBERS:
            raise pickle.UnpicklingError(f"it holds an array of {code!r}, not of numbers")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "|"
        order = order.decode("ascii") if isinstance(order, bytes) else order
        return (order if order in ("<", ">") else "") + code


class _Array(_NoArray):
    """An array as a pickle describes it."""

    def made(self) -> NDArray[Any]:
        """The array; raises `UnpicklingError` for anything but numbers that the file holds all of."""
        state = self.state
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("it holds an array without content")
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _DType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("it holds an array of other things than numbers")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise pickle.UnpicklingError("it holds an array without a shape")
        flat = np.frombuffer(content, dtype.name())
        if len(shape) > _MOST_DIMENSIONS or math.prod(shape) != len(flat):
            raise pickle.UnpicklingError(f"it holds an array of {len(flat)} numbers for the shape {shape}")
        return flat.reshape(shape, order="F" if is_fortran else "C")


_NUMBERS = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)) | {"f4", "f8"}
_MOST_DIMENSIONS = 4


def _encoded(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    """What Python 3 writes for bytes in a pickle of protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes text in an unknown way")
    return text.encode("latin1")


# All that such files name, under the names that numpy 1 and 2 have for it; nothing of numpy itself is called.
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encoded,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return _ALLOWED[module, name]


def _unpickle(data: bytes, path: Path) -> dict[Any, Any]:
    """The entries of a pickled dictionary, arrays made; raises `UserError` where there is anything unusual in it."""
    try:
        values = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(values, dict):
            raise pickle.UnpicklingError(f"it holds {type(values).__name__}, not a dictionary")
        return {key: value.made() if isinstance(value, _Array) else value for key, value in values.items()}
    except Exception as error:  # a broken pickle can raise nearly anything
        raise UserError(f"cannot read {path}: {reason_of(error)}") from error


def _names(values: Any, path: Path) -> tuple[str, ...]:
    """Class names, as texts or bytes."""
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= _MOST_CLASSES:
        raise UserError(f"{path} does not hold a list of class names")
    names = []
    for each in values:
        try:
            names.append(each if isinstance(each, str) else bytes.decode(each))
        except (TypeError, UnicodeDecodeError):
            raise UserError(f"{path}: the class name {each!r} is no text") from None
    return tuple(names)


def _labels(values: Any, path: Path) -> NDArray[np.int64]:
    """Labels, a list of whole numbers or an array of them."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        return values.astype(np.int64)
    if isinstance(values, list) and all(type(each) is int and 0 <= each < _MOST_CLASSES for each in values):
        return np.array(values, dtype=np.int64)
    raise UserError(f"{path} does not hold a list of labels, whole numbers from 0 on")
