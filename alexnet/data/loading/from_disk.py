"""Batches of a split on disk: decoded in threads ahead of the training loop, varied and scaled on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import torch
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data.dataset import AnyImages, Images
from alexnet.data.images.streamed import CropBatch, StreamedImages, Waited
from alexnet.data.loading.from_memory import Loader
from alexnet.data.loading.plan import BatchTransform, EpochPlan, draw_plan
from alexnet.data.transforms.augment import crop_places
from alexnet.data.transforms.color import ColorComponents
from alexnet.errors import UserError


class StreamLoader:
    """Batches of streamed images, with the surface of `Loader` and, for the same plan, the same images.

    Args:
        images: the split, as large as the network's input or larger.
        preprocessing: how pixels become the network's input.
        device: where batches end up.
        dtype: dtype of the batches.
        augment: variation of training images; None: none.
        colors: components along which `augment` shifts colours.
        balanced: show all classes equally often.
    """

    def __init__(
        self,
        images: StreamedImages,
        preprocessing: Preprocessing,
        device: torch.device,
        dtype: torch.dtype,
        augment: AugmentConfig | None = None,
        *,
        colors: ColorComponents | None = None,
        balanced: bool = False,
    ) -> None:
        self._images = images
        self._augment = augment or AugmentConfig()
        if self._augment.crop_border != "black":
            raise UserError("images read from disk while training have black borders: use augment.crop_border black")
        self._device = device
        self._image_px = preprocessing.image_px
        self._places = crop_places(images.image_px, self._augment.crop_padding_px, self._image_px)
        self._vary = BatchTransform(preprocessing, device, dtype, self._augment)
        self._waited = Waited()
        self._colors, self._balanced_N = colors, images.labels_N if balanced else None

    def __len__(self) -> int:
        return len(self._images)

    @property
    def wait_s(self) -> float:
        """Seconds that readers of `batches` spent waiting for images to be decoded, in all."""
        return self._waited.seconds

    def plan(self, seed: int, epoch: int, train_px: int | None = None) -> EpochPlan:
        """Draw the order and the variation of one epoch, whose images are shrunk to `train_px`."""
        how = self._augment, self._places, seed, epoch, torch.device("cpu")
        return draw_plan(len(self), *how, train_px, self._colors, self._balanced_N)

    def batch(self, plan: EpochPlan, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images `start` to `stop` of the plan's order; `batches` does it ahead of time."""
        return next(self.batches(plan, [(start, stop)]))

    def batches(self, plan: EpochPlan, bounds: Sequence[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Input [N, C, H, W] and labels [N] of each (start, stop) of the plan's order, one after the other.

        Raises:
            UserError: an image cannot be read; names it.
        """
        pin_memory = self._device.type == "cuda"
        crops = (self._crops(plan, start, stop) for start, stop in bounds)
        ahead = self._images.decode_ahead(crops, pin_memory=pin_memory, waited=self._waited)
        with closing(ahead):
            for (start, stop), decoded_NHWC in zip(bounds, ahead, strict=True):
                x_NHWC = decoded_NHWC.to(self._device, non_blocking=pin_memory)
                labels_N = self._images.labels_N[plan.order_N[start:stop]]
                x_NCHW = self._vary(x_NHWC, plan, slice(start, stop))
                yield x_NCHW, labels_N.to(self._device, non_blocking=True)

    def _crops(self, plan: EpochPlan, start: int, stop: int) -> CropBatch:
        chosen = plan.order_N[start:stop].tolist()
        if plan.top_N is None or plan.left_N is None:
            tops = lefts = [0] * len(chosen)
        else:
            border = self._augment.crop_padding_px
            tops, lefts = ((corner_N[start:stop] - border).tolist() for corner_N in (plan.top_N, plan.left_N))
        return CropBatch(chosen, self._image_px, tops, lefts)


def open_loader(
    images: AnyImages,
    preprocessing: Preprocessing,
    device: torch.device,
    dtype: torch.dtype,
    augment: AugmentConfig | None = None,
    *,
    colors: ColorComponents | None = None,
    balanced: bool = False,
) -> Loader | StreamLoader:
    """The loader that fits `images`: both kinds have the same interface."""
    kind = Loader if isinstance(images, Images) else StreamLoader
    return kind(images, preprocessing, device, dtype, augment, colors=colors, balanced=balanced)  # type: ignore[arg-type]
