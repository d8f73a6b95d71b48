"""What a data set is once it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from alexnet.config import UserError

SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Images:
    """Labelled images in memory, all of one size."""

    pixels_NHWC: Tensor
    """uint8 [N, H, W, C], C = 1 or 3 (RGB)."""
    labels_N: Tensor
    """int64 [N], positions in the data set's `class_names`."""
    files: tuple[str, ...] | None = None
    """Path of each image, relative to the source's folder; None where images are not files."""

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, index_N: Tensor) -> Images:
        """The images at `index_N`, copied."""
        files = None if self.files is None else tuple(self.files[i] for i in index_N.tolist())
        return Images(self.pixels_NHWC[index_N], self.labels_N[index_N], files)


@dataclass(frozen=True)
class Dataset:
    """Class names and the three splits of one source.

    The test split is read when it is first asked for, which only evaluation does.
    """

    name: str
    """The source as the user named it."""
    class_names: tuple[str, ...]
    train: Images
    val: Images | None
    """Held-out training images, None where `val_fraction` was 0."""
    open_test: Callable[[], Images]
    origin: dict[str, Any]
    """Where the images came from and how they were split, as plain JSON values."""

    @property
    def image_px(self) -> int:
        """Side of the square images."""
        return int(self.train.pixels_NHWC.shape[1])

    @property
    def in_channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return int(self.train.pixels_NHWC.shape[3])

    def split(self, name: SplitName) -> Images:
        """The images of one split; raises `UserError` for a val split that was not cut."""
        if name == "test":
            return self.open_test()
        images = self.train if name == "train" else self.val
        if images is None:
            raise UserError(f"{self.name} was loaded without a validation split: set val_fraction above 0")
        return images


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, pixels in 0..1, from exact integer histograms."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel_NHW in images.pixels_NHWC.unbind(3):
        counts = torch.zeros(256, dtype=torch.int64)
        for part in torch.split(channel_NHW, 4096):
            counts += torch.bincount(part.flatten(), minlength=256)
        share = counts.double() / counts.sum()
        mean = (share * levels).sum()
        means.append(float(mean))
        deviations.append(float((share * (levels - mean) ** 2).sum().sqrt()))
    return tuple(means), tuple(deviations)
