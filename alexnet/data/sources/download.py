"""Fetching the published files of the sources that have names."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from alexnet.data.images import cache
from alexnet.data.sources.cifar import LAYOUTS
from alexnet.errors import UserError
from alexnet.files import reason_of, socket_timeout


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch."""

    urls: tuple[str, ...]
    """Where it is, in order of preference."""
    path: str
    """Where it belongs, relative to the data folder, with forward slashes: torchvision's own places."""
    md5: str


def _cifar(name: str) -> tuple[RemoteFile, ...]:
    layout = LAYOUTS[name]
    return (RemoteFile((f"https://www.cs.toronto.edu/~kriz/{layout.archive}",), layout.archive, layout.md5),)


def _idx(folder: str, mirrors: tuple[str, ...], md5s: tuple[str, str, str, str]) -> tuple[RemoteFile, ...]:
    names = (f"{stem}-{kind}-ubyte.gz" for stem in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
    return tuple(
        RemoteFile(tuple(mirror + name for mirror in mirrors), f"{folder}/raw/{name}", md5)
        for name, md5 in zip(names, md5s, strict=True)
    )


# Addresses and check sums as torchvision 0.29 has them.
FILES: dict[str, tuple[RemoteFile, ...]] = {
    "cifar10": _cifar("cifar10"),
    "cifar100": _cifar("cifar100"),
    "fashion_mnist": _idx(
        "FashionMNIST",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "mnist": _idx(
        "MNIST",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
}


def default_root() -> Path:
    """Where published files are kept: `$ALEXNET_DATA`, else `alexnet/data` in the user's cache directory."""
    named = os.environ.get("ALEXNET_DATA")
    return Path(named).expanduser() if named else cache.user_cache() / "alexnet" / "data"


def fetch(name: str, root: Path) -> None:
    """Download the files of the source `name` into `root`, but for those already there.

    A file appears at its place whole and with the published check sum, or not at all.

    Raises:
        UserError: there is no network, or `root` cannot be written; says what to do instead.
    """
    for file in FILES[name]:
        target = root / file.path
        if target.exists():
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _fetch_file(file, target)
        # torchvision raises RuntimeError for a wrong check sum; HTTP and URL errors are OSErrors.
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{name} is not in {root} and cannot be downloaded ({reason_of(error)}): put {file.urls[0]} at "
                f"{target}, or point --root to where you have it.\nWithout network, `--data digits` needs no files; "
                f"--data also takes a folder with train/CLASS/* and test/CLASS/*"
            ) from error


def _fetch_file(file: RemoteFile, target: Path) -> None:
    errors = []
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as part:
        for url in file.urls:
            try:
                download_url(url, part, target.name, file.md5)
            except (OSError, RuntimeError) as error:
                errors.append(error)
                continue
            (Path(part) / target.name).replace(target)
            return
    raise errors[0]


def download_url(url: str, folder: str, name: str, md5: str) -> None:
    """Torchvision's downloader, with a time limit for a network that does not answer."""
    from torchvision.datasets.utils import download_url as download

    with socket_timeout():
        download(url, folder, name, md5)
