"""Which image belongs to which split: rules that give the same answer on every machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from alexnet.data.dataset import AnyImages, Dataset, Images
from alexnet.data.images.streamed import StreamedImages
from alexnet.errors import UserError

TEST_SHARE = 0.2
"""Share of the images that become the test split where the source has none."""

_ROWS = 1024


def stratified(labels_N: Tensor, fraction: float, seed: int) -> Tensor:
    """Positions of a part of the images: `fraction` of each class, drawn with `seed`, in ascending order.

    Rounded to the nearest image; a class of two or more gives at least one and keeps at least one.
    """
    # RandomState's stream is frozen for good (NEP 19), so a split made today can be made again.
    random = np.random.RandomState(seed)
    labels = labels_N.numpy()
    chosen: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        count = min(max(int(fraction * len(members) + 0.5), 1), len(members) - 1)
        chosen.append(members[:count])
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def drawn(labels_N: Tensor, n: int, seed: int) -> Tensor:
    """Positions of `n` images in the classes' shares, drawn with `seed`, in ascending order.

    Of one seed, fewer images are always part of more.

    Args:
        labels_N: class of each image.
        n: images to draw, no more than there are.
        seed: decides which.
    """
    random = np.random.RandomState(seed)
    labels = labels_N.numpy()
    share = np.empty(len(labels))  # of its class that is drawn before an image: the next is that of the least share
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        share[members] = (random.permutation(len(members)) + random.random_sample()) / len(members)
    return torch.from_numpy(np.sort(np.argsort(share, kind="stable")[:n]))


def held_out(images: AnyImages, fraction: float, seed: int) -> tuple[AnyImages, AnyImages | None]:
    """Cut a validation split off `images`; with `fraction` 0 there is none and nothing is moved.

    The tensor in `images` is given up: what stays is moved together in place, so that the images are never in
    memory twice.
    """
    if fraction == 0:
        return images, None
    val_N = stratified(images.labels_N, fraction, seed)
    kept = torch.ones(len(images), dtype=torch.bool)
    kept[val_N] = False
    train_N = kept.nonzero().flatten()
    val = images.take(val_N)
    if isinstance(images, StreamedImages):
        return images.take(train_N), val
    pixels_NHWC = images.pixels_NHWC
    # Ascending positions are never behind the row they move to, so no image is overwritten before it is read.
    for start in range(0, len(train_N), _ROWS):
        part_N = train_N[start : start + _ROWS]
        pixels_NHWC[start : start + len(part_N)] = pixels_NHWC[part_N]
    files = None if images.files is None else tuple(images.files[i] for i in train_N.tolist())
    return Images(pixels_NHWC[: len(train_N)], images.labels_N[train_N], files), val


def with_train_images(dataset: Dataset, n: int | None, seed: int) -> Dataset:
    """`dataset` with only `n` of its training images, see `drawn`; None: all of them.

    Raises:
        UserError: there are fewer.
    """
    if n is None:
        return dataset
    if n > len(dataset.train):
        raise UserError(
            f"train_images asks for {n:,} images, but {dataset.name} has {len(dataset.train):,} to train on: "
            "ask for fewer, or hold out fewer with --val-fraction"
        )
    return replace(dataset, train=dataset.train.take(drawn(dataset.train.labels_N, n, seed)))


def hashed_test(paths: Sequence[str], labels: Sequence[int]) -> list[bool]:
    """Whether each file is a test image, decided by its own path so that other files do not matter.

    A file is one where SHA-256 of its path, read as a fraction, is below `TEST_SHARE`. Where that gives a class
    of two or more files no test image, or only those, the file nearest to the bound changes sides; a class's
    only file is for training.

    Args:
        paths: path of each file in the source's folder, with forward slashes.
        labels: class of each file.
    """
    fractions = [int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:8], "big") / 2**64 for path in paths]
    is_test = [fraction < TEST_SHARE for fraction in fractions]
    members: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        members.setdefault(label, []).append(position)
    for positions in members.values():
        tests = sum(is_test[position] for position in positions)
        if tests == 0 and len(positions) >= 2:
            is_test[min(positions, key=fractions.__getitem__)] = True
        elif tests == len(positions):
            is_test[max(positions, key=fractions.__getitem__)] = False
    return is_test
