"""What is random in an epoch, drawn at once from seed and epoch, and how a batch is varied by it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data.transforms.augment import (
    Normalizer,
    cutout,
    cutout_places,
    draw_boxes,
    flip,
    mix,
    resized_crop,
    shrink,
)
from alexnet.data.transforms.color import ColorComponents


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
    shift_NC: Tensor | None = None
    """What is added to each image's channels, pixels in 0..1."""
    mixing: Mixing | None = None
    box_4N: Tensor | None = None
    """The rectangle of each image that is shown, see `augment.resized_crop`."""


@dataclass(frozen=True)
class Mixing:
    """How each image is mixed with the one before it in its batch; see `augment.mix`."""

    share_N: Tensor
    is_cut_N: Tensor
    middle_2N: Tensor

    def __call__(self, x_NCHW: Tensor, y_N: Tensor, classes: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Mixed images and shares of labels [N, K] of the batch at `start` to `stop` of the plan's order."""
        part = slice(start, stop)
        drawn = (
            t[..., part].to(x_NCHW.device, non_blocking=True) for t in (self.share_N, self.is_cut_N, self.middle_2N)
        )
        return mix(x_NCHW, y_N, classes, *drawn)


def draw_plan(
    n_images: int,
    augment: AugmentConfig,
    places: int,
    seed: int,
    epoch: int,
    device: torch.device,
    train_px: int | None = None,
    colors: ColorComponents | None = None,
    balanced_N: Tensor | None = None,
) -> EpochPlan:
    """Draw the order and the variation of one epoch.

    Args:
        n_images: how many the split has.
        augment: the kinds of variation.
        places: as `augment.crop_places` counts them.
        seed: the run's.
        epoch: finished epochs.
        device: where the plan is kept.
        train_px: side that images are shrunk to.
        colors: components along which colours are shifted, where `augment` asks for it.
        balanced_N: labels, where all classes are to be shown equally often; see `balanced_order`.
    """
    generator = torch.Generator().manual_seed(seed_for(seed, "epoch", epoch))
    order_N = torch.randperm(n_images, generator=generator)
    corners_2N = torch.randint(places, (2, n_images), generator=generator)
    mirrored_N = torch.rand(n_images, generator=generator) < 0.5
    cutout_2N = torch.rand(2, n_images, generator=generator)
    if balanced_N is not None:
        order_N = balanced_order(balanced_N, torch.Generator().manual_seed(seed_for(seed, "balance", epoch)))
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
        shift_NC=_color_shifts(n_images, colors, augment.pca_color, seed, epoch, device),
        mixing=_mixing(n_images, augment, seed, epoch, device),
        box_4N=_boxes(n_images, augment.crop_scale, seed, epoch, device),
    )


def balanced_order(labels_N: Tensor, generator: torch.Generator) -> Tensor:
    """Positions of as many images as there are, each class as often as the others (or once more), shuffled.

    Within a class all images are shown equally often (or once more); which of a large class are left out is drawn.
    """
    N, members = len(labels_N), [(labels_N == label).nonzero().flatten() for label in torch.unique(labels_N)]
    counts = torch.full((len(members),), N // len(members))
    counts[torch.randperm(len(members), generator=generator)[: N % len(members)]] += 1
    chosen = []
    for positions, n in zip(members, counts.tolist(), strict=True):
        rounds = -(-n // len(positions))
        shuffled = [positions[torch.randperm(len(positions), generator=generator)] for _ in range(rounds)]
        chosen.append(torch.cat(shuffled)[:n])
    return torch.cat(chosen)[torch.randperm(N, generator=generator)]


def _color_shifts(
    n_images: int, colors: ColorComponents | None, sigma: float, seed: int, epoch: int, device: torch.device
) -> Tensor | None:
    if colors is None:
        return None
    generator = torch.Generator().manual_seed(seed_for(seed, "color", epoch))
    alpha_NC = sigma * torch.randn(n_images, len(colors.eigenvalues), generator=generator)
    return colors.shifts(alpha_NC).to(device)


def _boxes(n_images: int, scale: float, seed: int, epoch: int, device: torch.device) -> Tensor | None:
    if scale == 1:
        return None
    return draw_boxes(scale, n_images, torch.Generator().manual_seed(seed_for(seed, "box", epoch))).to(device)


def _mixing(n_images: int, augment: AugmentConfig, seed: int, epoch: int, device: torch.device) -> Mixing | None:
    if not (augment.mixup or augment.cutmix):
        return None
    # RandomState's stream is frozen for good (NEP 19), and torch's beta distribution takes no generator.
    random = np.random.RandomState(seed_for(seed, "mix", epoch) % 2**32)
    is_cut_N = torch.from_numpy(random.random_sample(n_images) < 0.5)
    if not (augment.mixup and augment.cutmix):
        is_cut_N = torch.full((n_images,), augment.cutmix > 0)
    blend_N, cut_N = (random.beta(a or 1, a or 1, n_images) for a in (augment.mixup, augment.cutmix))
    share_N = torch.where(is_cut_N, torch.from_numpy(cut_N), torch.from_numpy(blend_N)).float()
    middle_2N = torch.from_numpy(random.random_sample((2, n_images))).float()
    return Mixing(share_N.to(device), is_cut_N.to(device), middle_2N.to(device))


class BatchTransform:
    """What is done to a batch of uint8 crops after the cropping: mirror, cut or shrink, scale, hide a square.

    Args:
        preprocessing: how pixels become the network's input.
        device: where batches are.
        dtype: dtype of the network's input.
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
        side = plan.train_px or self._image_px
        if plan.box_4N is not None:
            x_NHWC = resized_crop(x_NHWC, plan.box_4N[:, part].to(x_NHWC.device, non_blocking=True), side)
        elif side != self._image_px:
            x_NHWC = shrink(x_NHWC, side)
        offset_NC = None if plan.shift_NC is None else plan.shift_NC[part].to(x_NHWC.device, non_blocking=True)
        x_NCHW = self._normalize(x_NHWC, offset_NC)
        if plan.cutout_2N is not None:
            middles_2N = plan.cutout_2N[:, part].to(x_NHWC.device, non_blocking=True)
            cutout_px = max(round(self._cutout_px * side / self._image_px), 1)
            row_N, column_N = (middles_2N * cutout_places(side, cutout_px)).long()
            x_NCHW = cutout(x_NCHW, row_N, column_N, cutout_px)
        return x_NCHW
