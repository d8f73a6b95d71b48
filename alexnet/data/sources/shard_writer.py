"""One shard: image files made small and written to a tar file, with a record of what it holds."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data.images import decode, jpeg
from alexnet.data.sources import shards
from alexnet.data.sources.source import LARGEST_OWN_PX, BadFile
from alexnet.data.transforms.statistics import Moments
from alexnet.errors import UserError
from alexnet.files import atomic_write, read_bytes, reason_of, write_json


@dataclass(frozen=True)
class PackOptions:
    """How images are stored."""

    short_px: int = 256
    """Short side that larger images are reduced to (Krizhevsky 2012, section 2); smaller ones stay as they are."""
    quality: int = 90
    """Of the JPEGs written, 1..95; a JPEG that needs no reduction is stored as it came."""
    shard_images: int = 1000
    """Images a shard, the last of a split perhaps fewer."""

    def __post_init__(self) -> None:
        if self.short_px < 1:
            raise UserError(f"short_px must be 1 or more, not {self.short_px}")
        if not 1 <= self.quality <= 95:
            raise UserError(f"quality must lie in 1..95, not {self.quality}")
        if self.shard_images < 1:
            raise UserError(f"shard_images must be 1 or more, not {self.shard_images}")


@dataclass(frozen=True)
class Shard:
    """One shard to make: a worker's task."""

    split: str
    file: str
    out: str
    root: str
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    first: int
    """Position of its first image in the split, which its keys count from."""
    options: PackOptions

    @property
    def path(self) -> Path:
        """The tar file."""
        return Path(self.out) / self.file

    @property
    def record_path(self) -> Path:
        """Where its record lies until the manifest is written."""
        return Path(self.out) / shards.PARTS / f"{self.file}.json"


@dataclass
class Record:
    """What a finished shard holds."""

    bytes: int = 0
    sha256: str = ""
    sizes: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    rgb: dict[str, Any] = field(default_factory=dict)
    own_px: int | None = None
    """Side of the images if they are square, share one and are small; None otherwise."""
    bad: list[dict[str, str]] = field(default_factory=list)


def read_record(shard: Shard) -> Record:
    """The record of a shard that was written."""
    return Record(**json.loads(shard.record_path.read_text(encoding="utf-8")))


def write_shard(shard: Shard) -> Record:
    """Write one shard without the files that are bad, then its record, which lists those."""
    record = Record()
    with atomic_write(shard.path) as part:
        _write(part, shard, record)
    write_json(shard.record_path, asdict(record))
    return record


def _write(part: Path, shard: Shard, record: Record) -> None:
    sums, sizes = Moments.zero(3), set()
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i, (path, label) in enumerate(zip(shard.paths, shard.labels, strict=True)):
            try:
                stored, pixels_HWC = _reduce(f"{shard.root}/{path}", shard.options)
            except decode.BadImageError as error:
                record.bad.append(asdict(BadFile(error.path, error.reason)))
                continue
            key = f"{shard.first + i:08d}"
            H, W, C = pixels_HWC.shape
            record.offsets.append(_add(tar, f"{key}.jpg", stored))
            record.sizes.append(len(stored))
            record.labels.append(label)
            _add(tar, f"{key}.cls", str(label).encode())
            about = {"label": label, "filename": path, "width": W, "height": H}
            _add(tar, f"{key}.json", json.dumps(about).encode())
            square = decode.centre_square(pixels_HWC, min(H, W))
            sums += Moments.of(np.repeat(square, 3, axis=2) if C == 1 else square)
            sizes.add((H, W))
    record.bytes = part.stat().st_size
    record.sha256 = shards.sha256(part)
    record.rgb = sums.to_json()
    record.own_px = _own_px(sizes)


def _own_px(sizes: set[tuple[int, int]]) -> int | None:
    """Side of the images where all share one, as `load` would take it for folders."""
    H, W = next(iter(sizes)) if len(sizes) == 1 else (0, 1)
    return H if H == W <= LARGEST_OWN_PX else None


def _reduce(path: str, options: PackOptions) -> tuple[bytes, decode.Pixels]:
    """The image file to store, and its pixels.

    Raises:
        BadImageError: the file cannot be read or decoded.
    """
    try:
        data = read_bytes(path)
    except OSError as error:
        raise decode.BadImageError(path, reason_of(error)) from error
    pixels_HWC = jpeg.decode_plain(data, options.short_px, 3)
    if pixels_HWC is not None and min(pixels_HWC.shape[:2]) <= options.short_px:
        return data, pixels_HWC
    if pixels_HWC is None:
        pixels_HWC = decode.decode_pixels(data, options.short_px, 3, path)
    pixels_HWC = decode.bounded_aspect(pixels_HWC)
    if min(pixels_HWC.shape[:2]) > options.short_px:
        pixels_HWC = decode.resize_short_side(pixels_HWC, options.short_px)
    stored = _encode(pixels_HWC, options.quality)
    return stored, decode.decode_pixels(stored, None, 3, path)


def _encode(pixels_HWC: decode.Pixels, quality: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    grey = pixels_HWC.shape[2] == 1
    Image.fromarray(pixels_HWC[..., 0] if grey else pixels_HWC).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Append a member; returns where its content begins."""
    info = tarfile.TarInfo(name)  # of no owner and no time: the same images give the same shard
    info.size = len(data)
    start = tar.offset
    tar.addfile(info, io.BytesIO(data))
    return start + tarfile.BLOCKSIZE
