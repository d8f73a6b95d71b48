"""Images in tar files (WebDataset shards), read at random: an index says where each image lies.

A sample is a run of members that share their path up to the first dot of the file name: `KEY.jpg` (or another image),
`KEY.cls` with the label, and whatever else; so the shards of `timm/imagenet-1k-wds` are laid out, and so
`alexnet data pack` writes them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexnet.data.dataset import Images, SplitName
from alexnet.data.images.arrays import allocate
from alexnet.data.images.streamed import StreamedImages
from alexnet.data.sources import imagenet
from alexnet.data.sources.source import LARGEST_OWN_PX, ImageSpec, Source
from alexnet.data.sources.survey import in_threads
from alexnet.data.sources.tar_index import ENTRY, FORMAT, Index, index_of, read_slice, sample_at
from alexnet.data.transforms.statistics import Moments
from alexnet.errors import UserError
from alexnet.files import reason_of

PARTS = ".parts"
"""Folder of records while packing; gone when the manifest is there."""
MANIFEST = "manifest.json"
"""What `alexnet data pack` writes last, beside its shards."""

# How shards name their split: train-000000.tar, imagenet1k-validation-63.tar, val_00.tar or train/000.tar.
_SPLITS: dict[str, SplitName] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_SPLIT_NAME = re.compile(r"(?:^|[-_/])(train|validation|valid|val|test)[-_/]?[0-9]*\.tar$")
_BLOCK = 512  # a tar file is made of these
_BATCH_IMAGES = 256


@dataclass(frozen=True)
class Split:
    """The shards of one split."""

    shards: tuple[Path, ...]
    index: Index
    """`ENTRY` [N], in the shards' order."""
    sums: Moments | None = None
    """Over the pixels of all its images, where known."""
    sha256: tuple[str, ...] = ()
    """Of the shards, as they were written, where known."""


class ShardStore:
    """Images in tar files.

    Args:
        split: where they lie.
        root: folder that names are relative to.
    """

    def __init__(self, split: Split, root: Path) -> None:
        self._split, self._root = split, root

    def __len__(self) -> int:
        return len(self._split.index)

    def read(self, position: int) -> bytes:
        """Content of the image."""
        shard, size, offset, _ = self._split.index[position].tolist()
        return read_slice(self._split.shards[shard], offset, size)

    def name(self, position: int) -> str:
        """The file the image was packed from, where its JSON member says so; else its place."""
        shard, _, offset, _ = self._split.index[position].tolist()
        tar = self._split.shards[shard]
        try:
            with tar.open("rb") as file:
                file.seek(offset - _BLOCK)
                about = next(member for member in sample_at(file) if member.name.endswith(".json"))
            return str(json.loads(read_slice(tar, about.offset_data, about.size))["filename"])
        except (tarfile.TarError, OSError, ValueError, KeyError, TypeError, StopIteration):  # others need not say
            return self.path(position)

    def path(self, position: int) -> str:
        """The shard, and the image's place in it."""
        shard, _, offset, _ = self._split.index[position].tolist()
        return f"{self._split.shards[shard]} (image at byte {offset})"

    def fingerprint(self) -> int:
        """CRC of the index and of the shards' check sums, all of whose bytes are read for it.

        Raises:
            UserError: a shard is not as it was written; names it.
        """
        found = list(in_threads(lambda turn: [sha256(self._split.shards[i]) for i in turn], len(self._split.shards)))
        sums = [each for turn in found for each in turn]
        for shard, one, expected in zip(self._split.shards, sums, self._split.sha256 or sums, strict=True):
            if one != expected:
                raise UserError(
                    f"the shard {shard} is damaged: not the bytes that were written; copy or pack it again"
                )
        return zlib.crc32(self._split.index.tobytes(), zlib.crc32("".join(sums).encode()))


def has_shards(path: Path) -> bool:
    """Whether tar files lie in the folder `path` or in those of its splits."""
    return next(_tar_files(path), None) is not None


def open_shards(path: Path) -> Source:
    """The shards in the folder `path` as a source.

    Raises:
        UserError: a shard is missing, cut short or holds no labelled images; names it.
    """
    manifest = read_manifest(path) if (path / MANIFEST).exists() else None
    if manifest is None and (path / PARTS).is_dir():
        raise UserError(f"{path} is packed only in part: run the same `alexnet data pack` again to finish it")
    found = _by_name(path) if manifest is None else _by_manifest(path, manifest)
    names = _class_names(path, found) if manifest is None else tuple(manifest["class_names"])
    rule = "as the shards are named" if manifest is None else manifest["split"]
    if "test" not in found and "val" in found:
        found["test"] = found.pop("val")
        rule += "; val serves as the test split, as there are no test shards"
    own_px = None if manifest is None else manifest["own_px"]
    return Source(
        class_names=names,
        in_channels=3,
        read=lambda split, spec: read_all(_compared(_stream(path, found, split, spec, own_px)), spec),
        stream=lambda split, spec: _stream(path, found, split, spec, own_px),
        splits=tuple(found),
        n_images=sum(len(split.index) for split in found.values()),
        origin={
            "path": str(path),
            "split": rule,
            "files": {name: len(split.index) for name, split in found.items()},
            "shards": {name: len(split.shards) for name, split in found.items()},
        },
    )


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the packed folder `path`.

    Raises:
        UserError: it cannot be read, or is of another format.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path / MANIFEST} cannot be read: {reason_of(error)}; pack again") from error
    if manifest.get("format") != FORMAT:
        found = manifest.get("format")
        raise UserError(f"{path / MANIFEST} is of format {found}, this version reads {FORMAT}: pack again")
    return dict(manifest)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stream(source: Source, split: SplitName) -> StreamedImages:
    """One split of `open_shards`, in whatever form."""
    assert source.stream is not None
    return source.stream(split, ImageSpec(None, LARGEST_OWN_PX, source.in_channels))


def find_changed(path: Path) -> Iterator[tuple[str, str]]:
    """The shards of a packed folder that are not as they were written, and in what way."""
    if not (path / MANIFEST).exists():
        return
    for values in read_manifest(path)["splits"].values():
        for file, expected in zip(values["filenames"], values["sha256"], strict=True):
            try:
                if sha256(path / file) != expected:
                    yield file, "not the bytes that were written: copy or pack it again"
            except OSError as error:
                yield file, reason_of(error)


# --- finding the shards ------------------------------------------------------------------------------------------


def _tar_files(path: Path) -> Iterator[Path]:
    for folder in (path, *(path / name for name in _SPLITS)):
        if folder.is_dir():
            yield from folder.glob("*.tar")


def _by_manifest(path: Path, manifest: dict[str, Any]) -> dict[SplitName, Split]:
    splits: dict[SplitName, Split] = {}
    for name, values in manifest["splits"].items():
        for file, size in zip(values["filenames"], values["bytes"], strict=True):
            _check_size(path / file, size)
        try:
            index = np.load(path / values["index"], allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path / values['index']} cannot be read: {reason_of(error)}; pack again") from error
        if index.dtype != ENTRY or len(index) != values["num_samples"]:
            raise UserError(f"{path / values['index']} does not fit {path / MANIFEST}: pack again")
        _check_index(path, values, index, len(manifest["class_names"]))
        splits[name] = Split(
            shards=tuple(path / file for file in values["filenames"]),
            index=index,
            sums=Moments.from_json(values["rgb"]),
            sha256=tuple(values["sha256"]),
        )
    return splits


def _check_index(path: Path, values: dict[str, Any], index: Index, classes: int) -> None:
    """Raise `UserError` where an entry of the index names a class, a shard or bytes that there are not."""
    if not len(index):
        return
    bytes_N = np.array(values["bytes"], dtype=np.int64)
    is_sound = (index["label"] >= 0) & (index["label"] < classes) & (index["shard"] < len(bytes_N))
    ends_N = index["offset"].astype(np.float64) + index["size"]
    is_sound &= ends_N <= bytes_N[np.minimum(index["shard"], len(bytes_N) - 1)]
    if not is_sound.all():
        where = int(np.flatnonzero(~is_sound)[0])
        raise UserError(f"{path / values['index']} is damaged: entry {where} lies outside of the shards; pack again")


def _check_size(shard: Path, expected: int) -> None:
    try:
        size = shard.stat().st_size
    except OSError as error:
        raise UserError(f"the shard {shard} cannot be read: {reason_of(error)}; copy or pack it again") from error
    if size != expected:
        short = "is cut short" if size < expected else "was changed"
        raise UserError(f"the shard {shard} {short}: {size:,} bytes instead of {expected:,}; copy or pack it again")


def _by_name(path: Path) -> dict[SplitName, Split]:
    """Shards that came without our manifest: their splits by their names, their images by their headers."""
    files: dict[SplitName, list[Path]] = {}
    for file in sorted(_tar_files(path)):
        match = _SPLIT_NAME.search(file.relative_to(path).as_posix())
        if match is None:
            raise UserError(f"{file} does not say which split it is of: call it train-0000.tar, val-0000.tar or so")
        files.setdefault(_SPLITS[match[1]], []).append(file)
    _check_counts(path, files)
    order: tuple[SplitName, ...] = ("train", "val", "test")
    return {name: Split(tuple(files[name]), index_of(files[name])) for name in order if name in files}


def _check_counts(path: Path, files: dict[SplitName, list[Path]]) -> None:
    """Whether all shards are there, where timm's `_info.json` says which there are."""
    try:
        info = json.loads((path / "_info.json").read_text(encoding="utf-8"))
        expected = {name: values["filenames"] for name, values in info["splits"].items()}
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path / '_info.json'} cannot be read: {reason_of(error)}") from error
    for name, files_known in expected.items():
        present = {file.name for file in files.get(_SPLITS.get(name, "train"), [])}
        missing = sorted({Path(file).name for file in files_known} - present)
        if present and missing:  # a split may be left out as a whole
            raise UserError(
                f"{path} lacks {len(missing)} of {len(files_known)} {name} shards, {missing[0]} first: fetch them "
                "or remove _info.json"
            )


def _class_names(path: Path, splits: dict[SplitName, Split]) -> tuple[str, ...]:
    count = 1 + max(int(split.index["label"].max()) for split in splits.values())
    return imagenet.numbered(count, path)


# --- reading them ------------------------------------------------------------------------------------------------


def _stream(
    path: Path, found: dict[SplitName, Split], name: SplitName, spec: ImageSpec, own_px: int | None
) -> StreamedImages:
    if name not in found:
        raise UserError(f"{path} has no {name} shards, only {', '.join(found)}")
    split = found[name]
    if not len(split.index):
        raise UserError(f"{path} has no {name} images: add some to what it was packed from, and pack again")
    return StreamedImages(
        store=ShardStore(split, path),
        position_N=torch.arange(len(split.index)),
        labels_N=torch.from_numpy(split.index["label"].astype(np.int64)),
        image_px=spec.image_px or own_px or spec.default_px,
        in_channels=spec.in_channels,
        moments=split.sums if spec.in_channels == 3 and spec.fit == "crop" else None,
        fit=spec.fit,
    )


def _compared(streamed: StreamedImages) -> StreamedImages:
    """The images, once their shards were found to be as they were written; raises `UserError` otherwise."""
    streamed.store.fingerprint()
    return streamed


def read_all(streamed: StreamedImages, spec: ImageSpec) -> Images:
    """All streamed images in memory, calling `spec.on_progress`."""
    N, px = len(streamed), streamed.image_px
    pixels_NHWC = torch.from_numpy(allocate((N, px, px, streamed.in_channels)))
    done = 0
    for part_NHWC in streamed.parts(_BATCH_IMAGES):
        pixels_NHWC[done : done + len(part_NHWC)] = part_NHWC
        done += len(part_NHWC)
        if spec.on_progress is not None:
            spec.on_progress(done, N)
    return Images(pixels_NHWC, streamed.labels_N, streamed.files)
