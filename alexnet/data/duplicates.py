"""Files that show the same picture, by bytes or by pixels, and those that show none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexnet.data.images import decode
from alexnet.data.sources.source import BadFile, OnProgress
from alexnet.data.sources.survey import in_threads
from alexnet.files import read_bytes, reason_of

_SIDE, _LOW = 32, 8  # a perceptual hash is the signs of the 8 x 8 lowest frequencies of 32 x 32 pixels
_MOST_BITS = 4  # signs that differ between hashes of one picture in two sizes or qualities
_LEAST_STD = 4.0  # grey levels; the hash of a flatter image is that of its noise
_ROWS = 1024  # of the table of differences at a time


@dataclass(frozen=True)
class Group:
    """Files that show one picture."""

    members: tuple[int, ...]
    """Positions among the files that were searched, in order."""
    is_exact: bool
    """Whether all have the same bytes; otherwise nearly the same pixels."""


def find(
    root: Path, paths: Sequence[str], on_progress: OnProgress | None = None
) -> tuple[list[Group], list[BadFile]]:
    """Groups of two files or more that show the same picture, and the files that cannot be decoded.

    Pixels are compared by a perceptual hash: the signs of the lowest frequencies of the grey image, less the first.
    Another size or JPEG quality changes few of them; a crop, a turn or a mirror image changes most.

    Args:
        root: folder of the files.
        paths: relative to it.
        on_progress: called with the number of files read and their total.
    """
    parts = list(in_threads(lambda chunk: [_hashes(root, paths[i]) for i in chunk], len(paths), on_progress))
    results = [each for part in parts for each in part]
    bad = [each for each in results if isinstance(each, BadFile)]
    found = [(b"", None) if isinstance(each, BadFile) else each for each in results]
    parent = list(range(len(paths)))

    def first(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        low, high = sorted((first(i), first(j)))
        parent[high] = low

    by_content: dict[bytes, int] = {}
    for i, (content, _) in enumerate(found):
        if content:
            join(by_content.setdefault(content, i), i)
    hashed = [(i, signs_B) for i, (_, signs_B) in enumerate(found) if signs_B is not None]
    for i, j in _close_pairs(np.array([signs_B for _, signs_B in hashed]).reshape(len(hashed), _LOW * _LOW)):
        join(hashed[i][0], hashed[j][0])
    members: dict[int, list[int]] = {}
    for i in range(len(paths)):
        members.setdefault(first(i), []).append(i)
    groups = [
        Group(tuple(group), is_exact=len({found[i][0] for i in group}) == 1)
        for group in members.values()
        if len(group) > 1
    ]
    return groups, bad


def _hashes(root: Path, path: str) -> tuple[bytes, NDArray[np.float32] | None] | BadFile:
    """SHA-256 of the content, and perceptual hash, None of a flat image."""
    try:
        data = read_bytes(f"{root}/{path}")
        image = decode.decode_image(data, image_px=_SIDE)
    except OSError as error:
        return BadFile(f"{root}/{path}", reason_of(error))
    except decode.BadImageError as error:
        return BadFile(f"{root}/{path}", error.reason)
    grey_SS = np.asarray(image.convert("L").resize((_SIDE, _SIDE)), dtype=np.float32)
    if grey_SS.std() < _LEAST_STD:
        return hashlib.sha256(data).digest(), None
    return hashlib.sha256(data).digest(), perceptual_hash(grey_SS)


def perceptual_hash(grey_SS: NDArray[np.float32]) -> NDArray[np.float32]:
    """64 signs, 1 or -1, of a grey image of 32 x 32: whether each of its lowest frequencies is above their median."""
    low_B = (_COSINES_LS @ grey_SS @ _COSINES_LS.T).flatten()
    return np.where(low_B > np.median(low_B[1:]), 1, -1).astype(np.float32)


def _cosines() -> NDArray[np.float32]:
    """Rows of the discrete cosine transform."""
    frequency_L1, place_S = np.arange(_LOW)[:, None], np.arange(_SIDE) + 0.5
    return np.cos(np.pi / _SIDE * frequency_L1 * place_S).astype(np.float32)


_COSINES_LS = _cosines()


def _close_pairs(signs_NB: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Positions i < j whose hashes differ in few signs."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(signs_NB), _ROWS):
        agreement = signs_NB[start : start + _ROWS] @ signs_NB[start:].T  # equal signs less others
        close = agreement >= signs_NB.shape[1] - 2 * _MOST_BITS
        for i, j in zip(*np.nonzero(close), strict=True):
            if i < j:
                pairs.append((start + int(i), start + int(j)))
    return pairs
