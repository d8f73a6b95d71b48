"""What image files hold, found without keeping their pixels: broken ones, sizes and modes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from alexnet.data.images import decode
from alexnet.data.sources.source import LARGEST_OWN_PX, BadFile, OnProgress
from alexnet.files import open_regular
from alexnet.system import usable_cores

_CHUNK_FILES = 256

_NAMED_FILES = 5

_T = TypeVar("_T")


def find_bad(root: Path, paths: Sequence[str], on_progress: OnProgress | None = None) -> list[BadFile]:
    """The files among `paths` that cannot be decoded, each with the reason."""

    def check_chunk(chunk: range) -> list[BadFile]:
        bad = []
        for i in chunk:
            path = f"{root}/{paths[i]}"
            try:
                # Fitted as for a small network: the file is read to its end, a huge JPEG is not unfolded whole.
                decode.decode_image(path, image_px=LARGEST_OWN_PX)
            except decode.BadImageError as error:
                bad.append(BadFile(path, error.reason))
        return bad

    return [bad for chunk in in_threads(check_chunk, len(paths), on_progress) for bad in chunk]


def describe_bad(root: Path, bad: Sequence[BadFile]) -> str:
    """The first few of the bad files with their reasons, and what to do."""
    named = "; ".join(f"{file.path} ({file.reason})" for file in bad[:_NAMED_FILES])
    more = f"; and {len(bad) - _NAMED_FILES} more" if len(bad) > _NAMED_FILES else ""
    count = "1 image" if len(bad) == 1 else f"{len(bad)} images"
    return f"{count} cannot be read: {named}{more}. `alexnet data check {root}` lists all; repair or remove them"


def in_threads(work: Callable[[range], _T], total: int, on_progress: OnProgress | None = None) -> Iterator[_T]:
    """Results of `work` on chunks of 0..total, in order, computed in threads; the first exception ends all."""
    chunks = [range(start, min(start + _CHUNK_FILES, total)) for start in range(0, total, _CHUNK_FILES)]
    executor = ThreadPoolExecutor(max_workers=min(usable_cores(), 16))
    try:
        for chunk, result in zip(chunks, executor.map(work, chunks), strict=True):
            if on_progress is not None:
                on_progress(chunk.stop, total)
            yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def count_sizes(root: Path, paths: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each size (`32x32`) and each of Pillow's modes occurs in `paths`, from the files' headers."""
    from PIL import Image

    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    for path in paths:
        try:
            with os.fdopen(open_regular(root / path), "rb") as file, Image.open(file) as image:
                sizes[f"{image.width}x{image.height}"] += 1
                modes[image.mode] += 1
        except Exception:  # whatever Pillow's plugins raise on a broken header
            modes["unreadable"] += 1
    return sizes, modes
