"""Where images lie in tar files: an index made once from the headers of their members."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.data.images import cache, decode
from alexnet.errors import UserError
from alexnet.files import reason_of

FORMAT = 1
"""Of the manifest; raised when older readers would misunderstand it."""

ENTRY = np.dtype([("shard", "<u4"), ("size", "<u4"), ("offset", "<u8"), ("label", "<i4")])
"""An image in the index: 20 bytes, 26 MB for ImageNet."""

LARGEST_LABELS = 100_000
"""Classes that shards may have: more are a damaged label."""

Index = NDArray[np.void]


def read_slice(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes of a file; raises `OSError` where it has fewer."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        os.lseek(handle, offset, os.SEEK_SET)
        data = os.read(handle, size)
        while len(data) < size and (more := os.read(handle, size - len(data))):
            data += more
    finally:
        os.close(handle)
    if len(data) < size:
        raise OSError(f"the shard is cut short: no {size} bytes at {offset}")
    return data


def scan(shard: Path, number: int = 0) -> Index:
    """Index the images of one shard by its tar headers.

    Raises:
        UserError: it is cut short or no tar file, or an image has no label.
    """
    entries: list[tuple[int, int, int, int]] = []
    try:
        with shard.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for key, members in _samples(tar):
                image = next((members[kind] for kind in members if f".{kind}" in decode.EXTENSIONS), None)
                if image is None:
                    continue
                if "cls" not in members:
                    raise UserError(f"{shard}: {key} has no .cls member with its label")
                label = int(read_slice(shard, members["cls"].offset_data, min(members["cls"].size, 32)))
                if not 0 <= label < LARGEST_LABELS:
                    raise UserError(
                        f"{shard}: {key} has the label {label}; labels count from 0, to {LARGEST_LABELS - 1} at most"
                    )
                entries.append((number, image.size, image.offset_data, label))
            # tarfile takes a file that stops between two members for whole; a whole one ends with a block of zeros.
            if any(read_slice(shard, max(0, shard.stat().st_size - tarfile.BLOCKSIZE), tarfile.BLOCKSIZE)):
                raise tarfile.ReadError("it is cut short")
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"the shard {shard} cannot be read: {reason_of(error)}; copy or pack it again") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{shard}: a .cls member is no number: {error}") from error
    return np.array(entries, dtype=ENTRY)


def index_of(shards: Sequence[Path]) -> Index:
    """The index of all shards, from the cache if they are as they were."""
    stats = [(str(shard.resolve()), shard.stat().st_size, shard.stat().st_mtime_ns) for shard in shards]
    key = hashlib.sha256(f"index {FORMAT} {stats}".encode()).hexdigest()[:40]
    known = cache.get(key)
    if known is not None:
        return known.view(ENTRY)
    index = np.concatenate([scan(shard, number) for number, shard in enumerate(shards)])
    if not len(index):
        raise UserError(f"{shards[0].parent} has no images in its shards {shards[0].name} ...")
    cache.put(key, index.view(np.uint8))
    return index


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Members by key, and within by what follows the key's dot, in lower case."""
    last, members = "", dict[str, tarfile.TarInfo]()
    for member in tar:
        if not member.isreg():
            continue
        folder, _, base = member.name.rpartition("/")
        stem, _, kind = base.partition(".")
        key = f"{folder}/{stem}"
        if key != last and members:
            yield last, members
            members = {}
        last = key
        members[kind.lower()] = member
    if members:
        yield last, members


def sample_at(file: Any) -> Iterator[tarfile.TarInfo]:
    """Members from the file's position on, as long as they are of one sample."""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        key = None
        for member in tar:
            stem = member.name.rpartition("/")[2].partition(".")[0]
            if key not in (None, stem):
                return
            key = stem
            yield member
