"""The sources that have names, and how a source is found."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet.data.dataset import Images, SplitName
from alexnet.data.images.arrays import fit_array
from alexnet.data.sources.cifar import open_cifar
from alexnet.data.sources.download import FILES, default_root, fetch
from alexnet.data.sources.folder import open_folder
from alexnet.data.sources.hub import is_hub, open_hub
from alexnet.data.sources.idx import open_idx
from alexnet.data.sources.layout import has_splits
from alexnet.data.sources.shards import has_shards, open_shards
from alexnet.data.sources.source import ImageSpec, Source
from alexnet.data.split import TEST_SHARE, stratified
from alexnet.errors import UserError

DIGITS_PX = 32
"""Side the 8 x 8 digits are brought to where nothing else is asked for."""

FileName = str | os.PathLike[str]


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source that has a name, before its files are read."""

    title: str
    classes: int
    train_images: int
    test_images: int
    px: int
    """Side of its images as published."""
    in_channels: int
    class_names: tuple[str, ...] | None = None
    """None: written in its files."""


_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_DIGITS = tuple("0123456789")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SOURCES = {
    "cifar10": SourceFacts("CIFAR-10, small photographs", 10, 50_000, 10_000, 32, 3),
    "cifar100": SourceFacts("CIFAR-100, small photographs, fine classes", 100, 50_000, 10_000, 32, 3),
    "fashion_mnist": SourceFacts("Fashion-MNIST, articles of clothing", 10, 60_000, 10_000, 28, 1, _FASHION),
    "mnist": SourceFacts("MNIST, handwritten digits", 10, 60_000, 10_000, 28, 1, _DIGITS),
    "digits": SourceFacts("scikit-learn's bundled handwritten digits, no download", 10, 1_438, 359, 8, 1, _DIGITS),
}
"""The sources that have names."""

# Where torchvision keeps IDX files below its root, other names in use, and Debian's package dataset-fashion-mnist.
_IDX_FOLDERS = {
    "fashion_mnist": ("FashionMNIST/raw", "fashion_mnist", "fashion-mnist", "raw", "."),
    "mnist": ("MNIST/raw", "mnist", "raw", "."),
}
_DEBIAN_FOLDERS = {"fashion_mnist": Path("/usr/share/datasets/fashion-mnist")}


def find(source: FileName, root: FileName | None = None, *, may_download: bool = True) -> Source:
    """The source of that name, or the folder at that path; a name comes first.

    Args:
        source: a name of `SOURCES`, `hf:owner/name`, or the path of a folder.
        root: for a name: where its files are or shall be; None: `default_root()`. For a folder: what a
            relative path starts from.
        may_download: fetch the files of a name where they are missing.

    Raises:
        UserError: there is neither, or its files cannot be found or used.
    """
    if is_hub(source):
        if root is not None:
            raise UserError(f"{source} is kept by the library datasets, where HF_HOME says: drop --root")
        return open_hub(os.fspath(source))
    if os.fspath(source) not in SOURCES:
        path = folder_of(source, root)
        return open_shards(path) if has_shards(path) else open_folder(path)
    name = os.fspath(source)
    if name == "digits":
        return _digits(root)
    place = default_root() if root is None else Path(root).expanduser()
    found = _find_local(name, place)
    if found is None and may_download:
        fetch(name, place)
        found = _find_local(name, place)
    if found is None:
        raise UserError(f"{name} is not in {place}: `alexnet data download {name}` fetches it")
    return found


def folder_of(source: FileName, root: FileName | None = None) -> Path:
    """Path of the existing folder that `source` means.

    Raises:
        UserError: there is none; names the sources that would be understood, and the one nearest to `source`.
    """
    path = Path(source).expanduser() if root is None else Path(root).expanduser() / source
    if path.is_dir():
        return path
    known = ", ".join(SOURCES)
    if path.exists():
        raise UserError(f"{path} is a file: give a folder of images, or one of the names {known}")
    near = difflib.get_close_matches(os.fspath(source).lower().replace("-", "_"), SOURCES, n=1, cutoff=0.7)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(
        f"{os.fspath(source)!r} is neither the name of a source ({known}) nor a folder: {path} does not exist{hint}"
    )


def class_names(source: FileName, root: FileName | None = None) -> tuple[str, ...]:
    """Names of a source's classes in the order of its labels; those of CIFAR-10 are known without its files.

    Raises:
        UserError: there is no such source, or its names stand in files that are not here.
    """
    if source == "cifar10" and root is None:
        return _CIFAR10
    return find(source, root, may_download=False).class_names


def download(source: str, root: FileName | None = None) -> Path:
    """Fetch the files of a source that has a name, unless they are there already; returns where they are.

    Raises:
        UserError: the name is unknown or has nothing to fetch, or the download fails.
    """
    if source not in FILES:
        nothing = "comes with scikit-learn: there is nothing to download" if source == "digits" else "is not known"
        raise UserError(f"{source!r} {nothing}; the names are {', '.join(FILES)}")
    return Path(find(source, root).origin["path"])


def _find_local(name: str, place: Path) -> Source | None:
    facts = SOURCES[name]
    if facts.class_names is not None:
        folders = [place / folder for folder in _IDX_FOLDERS[name]]
        folders += [_DEBIAN_FOLDERS[name]] if name in _DEBIAN_FOLDERS else []
        found = (open_idx(name, folder, facts.class_names) for folder in folders)
        return next((source for source in found if source is not None), None)
    source = open_cifar(name, place)
    if source is None and has_splits(place):
        source = open_folder(place)
    if source is not None and len(source.class_names) != facts.classes:
        raise UserError(
            f"{place} holds {len(source.class_names)} classes, but {name} has {facts.classes}: "
            f"to use the folder for what it is, pass --data {place}"
        )
    return source


def _digits(root: FileName | None) -> Source:
    if root is not None:
        raise UserError("digits come with scikit-learn and are not read from a folder: drop --root")
    return Source(
        class_names=_DIGITS,
        in_channels=1,
        read=_read_digits,
        splits=("train", "test"),
        origin={
            "path": "sklearn.datasets.load_digits",
            "split": f"{TEST_SHARE} of each class are for testing, drawn once and for all",
        },
    )


def _read_digits(split: SplitName, spec: ImageSpec) -> Images:
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels_N = bunch.target.astype(np.int64)
    pixels_NHW = np.round(bunch.images * (255 / 16)).astype(np.uint8)  # as shipped: dark points of 4 x 4, 0..16
    is_test = np.zeros(len(labels_N), dtype=bool)
    is_test[stratified(torch.from_numpy(labels_N), TEST_SHARE, seed=0).numpy()] = True
    chosen = is_test if split == "test" else ~is_test
    return fit_array(pixels_NHW[chosen, :, :, None], labels_N[chosen], DIGITS_PX, spec)
