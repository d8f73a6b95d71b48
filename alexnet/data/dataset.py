"""What a data set is once it is loaded."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from alexnet.config import Fit
from alexnet.data.images.streamed import StreamedImages
from alexnet.data.transforms.statistics import Moments
from alexnet.errors import UserError

SplitName = Literal["train", "val", "test"]

# A channel's mean then has a standard error of about 0.001: images' own means vary by 0.15 or so.
_SAMPLED_IMAGES = 20_000


@dataclass(frozen=True)
class Images:
    """Labelled images in memory, all of one size."""

    pixels_NHWC: Tensor
    """uint8 [N, H, W, C], C = 1 or 3 (RGB)."""
    labels_N: Tensor
    """int64 [N], positions in the data set's `class_names`."""
    files: Sequence[str] | None = None
    """Path of each image, relative to the source's folder; None where images are not files."""

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def image_px(self) -> int:
        """Side of the square images."""
        return int(self.pixels_NHWC.shape[1])

    @property
    def in_channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return int(self.pixels_NHWC.shape[3])

    def take(self, index_N: Tensor) -> Images:
        """The images at `index_N`, copied."""
        files = None if self.files is None else tuple(self.files[i] for i in index_N.tolist())
        return Images(self.pixels_NHWC[index_N], self.labels_N[index_N], files)

    def with_labels(self, labels_N: Tensor) -> Images:
        """The same images with other labels."""
        return replace(self, labels_N=labels_N)

    def pixels_at(self, i: int) -> Tensor:
        """uint8 [H, W, C], one image."""
        return self.pixels_NHWC[i]

    def parts(self, batch_size: int) -> Iterator[Tensor]:
        """All images in order, uint8 [N, H, W, C] with `batch_size` images or, at the end, fewer."""
        return iter(torch.split(self.pixels_NHWC, batch_size))

    def fingerprint(self) -> str:
        """CRC of labels and pixels, as text."""
        crc = zlib.crc32(self.labels_N.numpy().tobytes())
        for part_NHWC in self.parts(4096):
            crc = zlib.crc32(part_NHWC.contiguous().numpy().data, crc)
        return f"{crc:08x}"


AnyImages = Images | StreamedImages
"""One split: in memory, or on disk."""


@dataclass(frozen=True)
class Dataset:
    """Class names and the three splits of one source.

    The test split is read when it is first asked for, which only evaluation does.
    """

    name: str
    """The source as the user named it."""
    class_names: tuple[str, ...]
    train: AnyImages
    val: AnyImages | None
    """Held-out training images, None where `val_fraction` was 0."""
    open_test: Callable[[], AnyImages]
    origin: dict[str, Any]
    """Where the images came from and how they were split, as plain JSON values."""
    crop_px: int | None = None
    """Side of the network's input where it is cut out of larger images; None: the images' own."""
    fit: Fit = "crop"
    """How images that are not square became so."""

    @property
    def image_px(self) -> int:
        """Side of the network's input."""
        return self.crop_px or self.train.image_px

    @property
    def in_channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.train.in_channels

    def split(self, name: SplitName) -> AnyImages:
        """The images of one split; raises `UserError` for a val split that was not cut."""
        if name == "test":
            return self.open_test()
        images = self.train if name == "train" else self.val
        if images is None:
            raise UserError(f"{self.name} was loaded without a validation split: set val_fraction above 0")
        return images


def channel_statistics(images: AnyImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, pixels in 0..1; of streamed images see `moments`."""
    if isinstance(images, StreamedImages):
        found = moments(images)
        return found.mean, found.std
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel_NHW in images.pixels_NHWC.unbind(3):  # exact integer histograms, five times faster than `moments`
        counts = torch.zeros(256, dtype=torch.int64)
        for part in torch.split(channel_NHW, 4096):
            counts += torch.bincount(part.flatten(), minlength=256)
        share = counts.double() / counts.sum()
        mean = (share * levels).sum()
        means.append(float(mean))
        stds.append(float((share * (levels - mean) ** 2).sum().sqrt()))
    return tuple(means), tuple(stds)


def moments(images: AnyImages) -> Moments:
    """Sums over the pixels of all images, exact; their covariance is what PCA colour needs.

    Streamed images whose sums are not stored with them are decoded for it: all of them up to 20,000, of more as
    many, evenly spread.
    """
    if isinstance(images, StreamedImages):
        if images.moments is not None:
            return images.moments
        if len(images) > _SAMPLED_IMAGES:
            images = images.take(torch.arange(_SAMPLED_IMAGES) * len(images) // _SAMPLED_IMAGES)
    total = Moments.zero(images.in_channels)
    for part_NHWC in images.parts(64):
        total += Moments.of(part_NHWC.numpy())
    return total
