"""Batches of a split in memory: everything random in an epoch is drawn at once, batches are made by indexing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet.config import AugmentConfig, Preprocessing, UserError
from alexnet.data.augment import Normalizer, crop_places, cutout, cutout_places, flip, random_crop, shrink
from alexnet.data.dataset import Images


def seed_for(seed: int, *purpose: object) -> int:
    """A seed of 63 bits for one purpose of one run, so that no two purposes share random numbers."""
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True)
class EpochPlan:
    """The order of one epoch's images and the variation of each; a function of seed and epoch alone."""

    order_N: Tensor
    top_N: Tensor | None
    left_N: Tensor | None
    mirrored_N: Tensor | None
    cutout_2N: Tensor | None
    """Row and column of each hidden square's middle, in 0..1 of the image's side."""
    train_px: int | None
    """Side that images are shrunk to; None: they stay."""


def draw_plan(
    n_images: int,
    augment: AugmentConfig,
    places: int,
    seed: int,
    epoch: int,
    device: torch.device,
    train_px: int | None = None,
) -> EpochPlan:
    """Draw the order and the variation of one epoch; `places` as `augment.crop_places` counts them."""
    generator = torch.Generator().manual_seed(seed_for(seed, "epoch", epoch))
    order_N = torch.randperm(n_images, generator=generator)
    corners_2N = torch.randint(places, (2, n_images), generator=generator)
    mirrored_N = torch.rand(n_images, generator=generator) < 0.5
    cutout_2N = torch.rand(2, n_images, generator=generator)
    if augment.flip == "alternating":
        first = torch.Generator().manual_seed(seed_for(seed, "flip"))
        mirrored_N = (torch.rand(n_images, generator=first) < 0.5)[order_N] ^ bool(epoch % 2)
    top_N, left_N = corners_2N.to(device)
    return EpochPlan(
        order_N=order_N.to(device),
        top_N=top_N if places > 1 else None,
        left_N=left_N if places > 1 else None,
        mirrored_N=None if augment.flip == "none" else mirrored_N.to(device),
        cutout_2N=cutout_2N.to(device) if augment.cutout_px else None,
        train_px=train_px,
    )


class Varying:
    """What is done to a batch of uint8 crops after the cropping: mirror, shrink, scale, hide a square.

    Args:
        preprocessing: how pixels become the network's input.
        device: where batches are.
        dtype: number type of the network's input.
        augment: variation of training images.
    """

    def __init__(
        self, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype, augment: AugmentConfig
    ) -> None:
        self._image_px, self._cutout_px = preprocessing.image_px, augment.cutout_px
        self._normalize = Normalizer(preprocessing, device, dtype)

    def __call__(self, x_NHWC: Tensor, plan: EpochPlan, part: slice) -> Tensor:
        """The network's input [N, C, H, W] of the crops `x_NHWC` at `part` of the plan's order."""
        if plan.mirrored_N is not None:
            x_NHWC = flip(x_NHWC, plan.mirrored_N[part].to(x_NHWC.device, non_blocking=True))
        side = self._image_px
        if plan.train_px is not None and plan.train_px != side:
            side = plan.train_px
            x_NHWC = shrink(x_NHWC, side)
        x_NCHW = self._normalize(x_NHWC)
        if plan.cutout_2N is not None:
            middles_2N = plan.cutout_2N[:, part].to(x_NHWC.device, non_blocking=True)
            cutout_px = max(round(self._cutout_px * side / self._image_px), 1)
            row_N, column_N = (middles_2N * cutout_places(side, cutout_px)).long()
            x_NCHW = cutout(x_NCHW, row_N, column_N, cutout_px)
        return x_NCHW


class Loader:
    """Batches of `images`, moved to the device once.

    Args:
        images: the split, as large as the network's input or larger; it stays where it is if it is on `device`.
        preprocessing: how pixels become the network's input.
        device: where batches are made.
        dtype: number type of the batches.
        augment: variation of training images; None: none.

    Raises:
        UserError: a reflected border is as wide as the images.
    """

    def __init__(
        self,
        images: Images,
        preprocessing: Preprocessing,
        device: torch.device,
        dtype: torch.dtype,
        augment: AugmentConfig | None = None,
    ) -> None:
        self._pixels_NHWC = images.pixels_NHWC.to(device)
        self._labels_N = images.labels_N.to(device)
        self._augment = augment or AugmentConfig()
        self._device = device
        self._image_px = preprocessing.image_px
        border_px = self._augment.crop_padding_px
        if self._augment.crop_border == "reflect" and border_px >= images.image_px:
            raise UserError(
                f"augment.crop_padding_px ({border_px}) must be less than the images' side ({images.image_px}) "
                "where the border reflects them: lower it, or use augment.crop_border black"
            )
        self._places = crop_places(images.pixels_NHWC.shape[1], self._augment.crop_padding_px, self._image_px)
        self._vary = Varying(preprocessing, device, dtype, self._augment)

    def __len__(self) -> int:
        return len(self._labels_N)

    def plan(self, seed: int, epoch: int, train_px: int | None = None) -> EpochPlan:
        """Draw the order and the variation of one epoch, whose images are shrunk to `train_px`."""
        return draw_plan(len(self), self._augment, self._places, seed, epoch, self._device, train_px)

    def batch(self, plan: EpochPlan, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images `start` to `stop` of the plan's order: input [N, C, H, W] and labels [N]."""
        part = slice(start, stop)
        chosen_N = plan.order_N[part]
        x_NHWC = self._pixels_NHWC.index_select(0, chosen_N)
        if plan.top_N is not None and plan.left_N is not None:
            border_px, border = self._augment.crop_padding_px, self._augment.crop_border
            x_NHWC = random_crop(x_NHWC, plan.top_N[part], plan.left_N[part], border_px, self._image_px, border)
        return self._vary(x_NHWC, plan, part), self._labels_N.index_select(0, chosen_N)

    def batches(self, plan: EpochPlan, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batch of each (start, stop) in `bounds`, as `batch` makes it, one after the other."""
        for start, stop in bounds:
            yield self.batch(plan, start, stop)
