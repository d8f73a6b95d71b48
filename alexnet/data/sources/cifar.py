"""CIFAR-10 and CIFAR-100 as published: Python pickles in a folder or in its archive, read without running code."""

from __future__ import annotations

import codecs
import hashlib
import io
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

_PX = 32


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
    names = _value(meta, layout.names_key, store / layout.meta)
    class_names = tuple(text if isinstance(text, str) else bytes(text).decode() for text in names)

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
    pixels, labels = _value(values, b"data", path), _value(values, labels_key, path)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * _PX * _PX):
        raise UserError(f"{path} does not hold uint8 pixels of {len(labels)} images of 3 x {_PX} x {_PX}")
    return pixels.reshape(-1, 3, _PX, _PX), np.array(labels, dtype=np.int64)


def _value(values: Any, key: bytes, path: Path) -> Any:
    # Files that Python 3 wrote again have text for keys.
    for known in (key, key.decode()):
        if isinstance(values, dict) and known in values:
            return values[known]
    raise UserError(f"{path} has no entry {key.decode()!r}: it is no CIFAR file")


# --- pickles -----------------------------------------------------------------------------------------------------

# What rebuilds arrays is allowed, under the names that numpy 1 and 2 have for it; anything else in a pickle could
# run code.
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # type: ignore[dict-item]
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # type: ignore[dict-item]
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return _ALLOWED[module, name]


def _unpickle(data: bytes, path: Path) -> Any:
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise UserError(f"cannot read {path}: {error}") from error
