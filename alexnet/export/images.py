"""Images that exports are checked on: real ones, all that can be had."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from alexnet.card import ModelCard, Preprocessing
from alexnet.data import AnyImages, StreamedImages, decode_image, fit_image, load, load_split
from alexnet.data.dataset import Images
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import align_labels

BATCH_SIZES = (1, 7, 64)
"""A lone image, a size that no exporter was shown, and a full batch."""

_OTHER_SHAPES = ((48, 80), (200, 150), (301, 211), (37, 37), (90, 1600))
"""Heights and widths that images which all have the network's size are also brought to, to check resizing."""
_RESIZED = 16  # images brought to each of these
_PHOTOGRAPH_CROPS = ((64, 64, 64), (120, 160, 64), (427, 320, 4), (97, 201, 16), (301, 211, 16))
_CALIBRATION_IMAGES = 512
_PART = 7 * 64  # a multiple of the batch sizes


@dataclass(frozen=True)
class CheckImages:
    """Images of any size, as a caller of the exported network would hand them in."""

    what: str
    """Which images these are, for people."""
    are_test_images: bool
    """Whether they are the test split of a data set; otherwise a stand-in."""
    sources: Sequence[Path] | Sequence[NDArray[np.uint8]] | AnyImages
    """Files, decoded at full size when asked for, pixels, or images without files."""
    labels_N: Tensor | None = None
    """int64 [N], the network's classes; None where they are not known."""
    data: str | None = None
    """Source or folder, where they are a data set's."""
    root: str | os.PathLike[str] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def pixels_at(self, i: int) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], RGB, in the image's own size."""
        if isinstance(self.sources, Images | StreamedImages):
            source: Path | NDArray[np.uint8] = self.sources.pixels_at(i).numpy()
        else:
            source = self.sources[i]
        if isinstance(source, Path):
            return np.asarray(decode_image(source).convert("RGB"))
        return np.ascontiguousarray(np.broadcast_to(source, (*source.shape[:2], 3)))

    def batches(self, batch_size: int) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """All images once: positions, and uint8 [N, H, W, 3] of images of one size, `batch_size` of them or fewer."""
        waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = {}
        for i in range(len(self)):
            pixels = self.pixels_at(i)
            group = waiting.setdefault(pixels.shape, [])
            group.append((i, pixels))
            if len(group) == batch_size:
                del waiting[pixels.shape]
                yield [i for i, _ in group], np.stack([x for _, x in group])
        for group in waiting.values():
            yield [i for i, _ in group], np.stack([x for _, x in group])

    def squares(self, how: Preprocessing, first: int = 0, count: int | None = None) -> Images:
        """Images as the package itself prepares them: `count` of them from `first` on, or all; labels are 0."""
        end = len(self) if count is None else min(first + count, len(self))
        fitted = [fit_image(self.pixels_at(i), how.square_px, how.in_channels, how.fit) for i in range(first, end)]
        return Images(torch.from_numpy(np.stack(fitted)), torch.zeros(end - first, dtype=torch.int64))

    def parts(self, how: Preprocessing) -> Iterator[Images]:
        """All images as `squares`, some at a time, so that many fit in memory; parts end where batches do."""
        for first in range(0, len(self), _PART):
            yield self.squares(how, first, _PART)

    def in_other_shapes(self) -> CheckImages:
        """A few of the images, enlarged or reduced by Pillow to several heights and widths."""
        pixels = [
            np.asarray(Image.fromarray(self.pixels_at(i % len(self))).resize((W, H), Image.Resampling.BICUBIC))
            for i, (H, W) in enumerate(itertools.chain.from_iterable([s] * _RESIZED for s in _OTHER_SHAPES))
        ]
        return CheckImages(f"{len(pixels)} of them resized to {len(_OTHER_SHAPES)} shapes", False, pixels)

    def have_one_size(self) -> bool:
        """Whether all images are as large as the first, by a look at some of them."""
        some = range(0, len(self), max(1, len(self) // 32))
        return len({self.pixels_at(i).shape for i in some}) == 1


def find_images(card: ModelCard, data: str | None, root: str | os.PathLike[str] | None) -> CheckImages:
    """The test images of `data`; without it those the network's run names, where they are at hand; else photographs.

    Args:
        card: of the network.
        data: a source's name, or a folder; None: see above.
        root: where the source's files are.

    Raises:
        UserError: `data` cannot be read.
    """
    if data is None:
        data = _own_data(card)
    if data is None:
        return _photographs()
    how = card.preprocessing
    images, names = load_split(
        data,
        "test",
        root=root,
        image_px=how.square_px,
        in_channels=how.in_channels,
        val_fraction=(card.recipe or {}).get("val_fraction", 0.1),
        fit=how.fit,
    )
    labels_N = None
    if set(names) <= set(card.class_names):
        labels_N = align_labels(images, names, card.class_names).labels_N
    files = _files_of(images, data, root)
    what = f"{len(images):,} test images of {data}"
    if files is not None:
        return CheckImages(what, True, files, labels_N, data, root)
    return CheckImages(what, True, images, labels_N, data, root)


def check_calibration(images: CheckImages) -> None:
    """Raise `UserError` unless the images are a data set's, and of the network's classes."""
    if images.data is None:
        raise UserError("int8 is calibrated on training images and judged on test images: add --data")
    if images.labels_N is None:
        raise UserError(
            f"{images.data} has classes that the network does not know, and int8 is judged by its accuracy: "
            "name other --data"
        )


def calibration_images(card: ModelCard, images: CheckImages) -> AnyImages:
    """Up to 512 images of the same data that are no test images: the held-out ones, or those of training."""
    check_calibration(images)
    how = card.preprocessing
    dataset = load(
        images.data or "",
        root=images.root,
        image_px=how.image_px,
        resize_px=how.square_px,
        in_channels=how.in_channels,
        val_fraction=(card.recipe or {}).get("val_fraction", 0.1),
        fit=how.fit,
    )
    given = dataset.val if dataset.val is not None and len(dataset.val) >= _CALIBRATION_IMAGES else dataset.train
    count = min(_CALIBRATION_IMAGES, len(given))
    return given.take(torch.arange(count) * len(given) // count)


def _own_data(card: ModelCard) -> str | None:
    """What the network was trained on, where that needs no download: a folder, or the digits."""
    name = (card.recipe or {}).get("data")
    return name if isinstance(name, str) and (name == "digits" or Path(name).is_dir()) else None


def _files_of(images: AnyImages, data: str, root: str | os.PathLike[str] | None) -> list[Path] | None:
    """The images' files; None where they are none, or lie in archives."""
    folder = Path(root or "", data)
    if images.files is None or not folder.is_dir():
        return None
    for base in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        if (base / images.files[0]).is_file():
            return [base / file for file in images.files]
    return None


def _photographs() -> CheckImages:
    """Crops of the two photographs that come with scikit-learn."""
    from sklearn.datasets import load_sample_images

    generator = np.random.default_rng(0)
    photographs = load_sample_images().images
    crops = []
    for H, W, count in _PHOTOGRAPH_CROPS:
        for i in range(count):
            photograph = photographs[i % len(photographs)]
            top, left = (generator.integers(0, far + 1) for far in np.subtract(photograph.shape[:2], (H, W)))
            crops.append(np.ascontiguousarray(photograph[top : top + H, left : left + W]))
    what = f"{len(crops)} crops of two photographs (scikit-learn's), which are no test images of this network"
    return CheckImages(what, False, crops)
