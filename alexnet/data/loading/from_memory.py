"""Batches of a split in memory: everything random in an epoch is drawn at once, batches are made by indexing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data.dataset import Images
from alexnet.data.loading.plan import BatchTransform, EpochPlan, draw_plan
from alexnet.data.transforms.augment import (
    crop_places,
    random_crop,
)
from alexnet.data.transforms.color import ColorComponents
from alexnet.errors import UserError


class Loader:
    """Batches of `images`, moved to the device once.

    Args:
        images: the split, as large as the network's input or larger; it stays where it is if it is on `device`.
        preprocessing: how pixels become the network's input.
        device: where batches are made.
        dtype: dtype of the batches.
        augment: variation of training images; None: none.
        colors: components along which `augment` shifts colours.
        balanced: show all classes equally often.

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
        *,
        colors: ColorComponents | None = None,
        balanced: bool = False,
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
        self._vary = BatchTransform(preprocessing, device, dtype, self._augment)
        self._colors, self._balanced_N = colors, images.labels_N.cpu() if balanced else None

    def __len__(self) -> int:
        return len(self._labels_N)

    @property
    def wait_s(self) -> float:
        """Seconds that readers of `batches` spent waiting: none, as the images are in memory."""
        return 0.0

    def plan(self, seed: int, epoch: int, train_px: int | None = None) -> EpochPlan:
        """Draw the order and the variation of one epoch, whose images are shrunk to `train_px`."""
        how = self._augment, self._places, seed, epoch, self._device
        return draw_plan(len(self), *how, train_px, self._colors, self._balanced_N)

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
