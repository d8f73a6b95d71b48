"""Images that stay on disk: an index of labels and places in memory, pixels only while they are looked at."""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from alexnet.config import Fit
from alexnet.data.images import decode
from alexnet.data.transforms.statistics import Moments
from alexnet.distributed import own_share
from alexnet.errors import UserError
from alexnet.files import read_bytes, reason_of
from alexnet.system import usable_cores

# One thread's turn: long enough that handing it out costs nothing, short enough that a batch is shared evenly.
_TURN_IMAGES = 4
# How far decoding runs ahead of its reader: two batches, or for small ones what keeps every thread busy.
_AHEAD_BATCHES = 2
_AHEAD_TURNS = 4
_FINGERPRINT_FILES = 4096  # handed out at once


class Store(Protocol):
    """Encoded images by their positions."""

    def __len__(self) -> int:
        """How many images there are."""

    def read(self, position: int) -> bytes:
        """Content of an image file; raises `OSError` where it cannot be read."""

    def name(self, position: int) -> str:
        """Path of the image, relative to the source's folder."""

    def path(self, position: int) -> str:
        """Where the image is, for a message."""

    def fingerprint(self) -> int:
        """CRC that changes when the images do."""


class FileStore:
    """Image files in a folder.

    Args:
        root: the folder.
        paths: each file, relative to it, with forward slashes.
    """

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self._root, self._paths = str(root), paths

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, position: int) -> bytes:
        """Content of the file."""
        return read_bytes(self.path(position))

    def name(self, position: int) -> str:
        """Path relative to the folder."""
        return self._paths[position]

    def path(self, position: int) -> str:
        """Path of the file."""
        return f"{self._root}/{self._paths[position]}"

    def fingerprint(self) -> int:
        """CRC of the files' paths and contents, all of which are read for it."""

        def of_file(path: str) -> bytes:
            try:
                content = read_bytes(f"{self._root}/{path}")
            except OSError as error:
                raise UserError(f"cannot read {self._root}/{path}: {reason_of(error)}") from error
            return f"{path}\0{len(content)}\0{zlib.crc32(content)}\0".encode("utf-8", "surrogateescape")

        crc = 0
        with ThreadPoolExecutor(own_share(usable_cores()), thread_name_prefix="fingerprint") as pool:
            for start in range(0, len(self._paths), _FINGERPRINT_FILES):
                for told in pool.map(of_file, self._paths[start : start + _FINGERPRINT_FILES]):
                    crc = zlib.crc32(told, crc)
        return crc


@dataclass(frozen=True)
class CropBatch:
    """Images to decode together, and the part of each to keep."""

    images: Sequence[int]
    """Positions among the images of a split."""
    image_px: int
    """Side of the parts."""
    tops: Sequence[int]
    """First row of each part in the image's square; it may lie outside, which is black."""
    lefts: Sequence[int]


@dataclass(frozen=True)
class StreamedImages:
    """Labelled images on disk, decoded when they are asked for; the counterpart of `Images`."""

    store: Store
    position_N: Tensor
    """int64 [N], each image's position in the store."""
    labels_N: Tensor
    """int64 [N], positions in the data set's `class_names`."""
    image_px: int
    """Side of the square that images are brought to."""
    in_channels: int
    """1 (grey) or 3 (RGB)."""
    moments: Moments | None = None
    """Sums over the pixels of all these images, where they are known beforehand."""
    fit: Fit = "crop"
    """How an image that is not square becomes one."""

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def files(self) -> Sequence[str]:
        """Path of each image, relative to the source's folder."""
        return _Names(self.store, self.position_N)

    def take(self, index_N: Tensor) -> StreamedImages:
        """The images at `index_N`."""
        return replace(self, position_N=self.position_N[index_N], labels_N=self.labels_N[index_N], moments=None)

    def with_labels(self, labels_N: Tensor) -> StreamedImages:
        """The same images with other labels."""
        return replace(self, labels_N=labels_N)

    def pixels_at(self, i: int) -> Tensor:
        """uint8 [H, W, C], one image.

        Raises:
            UserError: it cannot be read.
        """
        pixels_HWC = torch.empty((self.image_px, self.image_px, self.in_channels), dtype=torch.uint8)
        self._decode_into(pixels_HWC.numpy(), i, 0, 0)
        return pixels_HWC

    def parts(self, batch_size: int) -> Iterator[Tensor]:
        """All images in order, uint8 [N, H, W, C] with `batch_size` images or, at the end, fewer.

        Raises:
            UserError: an image cannot be read; names it.
        """
        with closing(
            self.decode_ahead(self._whole(start, batch_size) for start in range(0, len(self), batch_size))
        ) as x:
            yield from x

    def fingerprint(self) -> str:
        """CRC of the files' names and contents, or the shards' check sums, and of the labels, as text."""
        crc = zlib.crc32(self.position_N.numpy().tobytes(), self.store.fingerprint())
        return f"{zlib.crc32(self.labels_N.numpy().tobytes(), crc):08x}"

    def decode_ahead(
        self, batches: Iterable[CropBatch], *, pin_memory: bool = False, waited: Waited | None = None
    ) -> Generator[Tensor]:
        """Decode `batches` in threads, in order and a little ahead of the reader.

        What comes out does not depend on the number of threads, nor on how far ahead they are.

        Args:
            batches: what to decode; taken only as far as decoding has come.
            pin_memory: put the result where a GPU can fetch it by itself.
            waited: adds up how long the reader had to wait.

        Yields:
            uint8 [N, H, W, C] for each batch.

        Raises:
            UserError: an image cannot be read; names it.
        """
        threads = own_share(usable_cores())
        pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        ahead: deque[tuple[Tensor, list[Future[None]]]] = deque()
        turns = 0
        try:
            for crops in batches:
                ahead.append(self._begin(pool, crops, pin_memory))
                turns += len(ahead[-1][1])
                while len(ahead) > _AHEAD_BATCHES and turns > _AHEAD_TURNS * threads:
                    turns -= len(ahead[0][1])
                    yield _finish(*ahead.popleft(), waited)
            while ahead:
                yield _finish(*ahead.popleft(), waited)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _begin(
        self, pool: ThreadPoolExecutor, crops: CropBatch, pin_memory: bool
    ) -> tuple[Tensor, list[Future[None]]]:
        shape = (len(crops.images), crops.image_px, crops.image_px, self.in_channels)
        out_NHWC = torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)
        turns = [range(i, min(i + _TURN_IMAGES, shape[0])) for i in range(0, shape[0], _TURN_IMAGES)]
        return out_NHWC, [pool.submit(self._decode_turn, out_NHWC.numpy(), crops, turn) for turn in turns]

    def _decode_turn(self, out_NHWC: decode.Pixels, crops: CropBatch, turn: range) -> None:
        for i in turn:
            self._decode_into(out_NHWC[i], crops.images[i], crops.tops[i], crops.lefts[i])

    def _decode_into(self, out_HWC: decode.Pixels, i: int, top: int, left: int) -> None:
        position = int(self.position_N[i])
        try:
            decode.decode_cut_into(out_HWC, self.store.read(position), self.image_px, top, left, "", self.fit)
        except decode.BadImageError as error:
            raise UserError(
                f"cannot read the image {self.store.path(position)}: {error.reason}. "
                "`alexnet data check` lists all such images; repair or remove them"
            ) from error
        except OSError as error:
            raise UserError(f"cannot read {self.store.path(position)}: {reason_of(error)}") from error

    def _whole(self, start: int, batch_size: int) -> CropBatch:
        images = range(start, min(start + batch_size, len(self)))
        return CropBatch(images, self.image_px, [0] * len(images), [0] * len(images))


@dataclass
class Waited:
    """Seconds for which a reader had nothing to do, because its images were not decoded yet."""

    seconds: float = 0.0


class _Names(Sequence[str]):
    """Names of a store's images, read when they are asked for."""

    def __init__(self, store: Store, position_N: Tensor) -> None:
        self._store, self._position_N = store, position_N

    def __len__(self) -> int:
        return len(self._position_N)

    def __getitem__(self, i: int) -> str:  # type: ignore[override]
        return self._store.name(int(self._position_N[i]))


def _finish(out_NHWC: Tensor, turns: Sequence[Future[None]], waited: Waited | None) -> Tensor:
    started = time.perf_counter()
    for turn in turns:
        turn.result()
    if waited is not None:
        waited.seconds += time.perf_counter() - started
    return out_NHWC
