"""Variation and scaling of whole batches, on the device the batch is on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet.config import Preprocessing


def crop_places(side_px: int, padding_px: int, image_px: int) -> int:
    """Rows (and columns) at which a crop of `image_px` can begin in an image of `side_px` with its border."""
    return side_px + 2 * padding_px - image_px + 1


def random_crop(
    x_NHWC: Tensor, top_N: Tensor, left_N: Tensor, padding_px: int, image_px: int | None = None
) -> Tensor:
    """Cut each image out of its zero-padded self, at its own place.

    Args:
        x_NHWC: uint8 [N, H, W, C], contiguous.
        top_N: int64 [N], first row of each crop in the padded image, below `crop_places`.
        left_N: int64 [N], first column likewise.
        padding_px: width of the black border.
        image_px: side of the crops; None: the size stays.
    """
    N, H, W, C = x_NHWC.shape
    h, w = (H, W) if image_px is None else (image_px, image_px)
    padded = F.pad(x_NHWC, (0, 0, padding_px, padding_px, padding_px, padding_px))
    per_image, per_row, per_pixel, _ = padded.stride()
    places = crop_places(H, padding_px, h), crop_places(W, padding_px, w)
    # All windows as one strided view: picking one an image copies rows of w * C bytes, not single pixels.
    windows = padded.as_strided(
        (N, *places, h, w * C), (per_image, per_row, per_pixel, per_row, 1), padded.storage_offset()
    )
    return windows[torch.arange(N, device=x_NHWC.device), top_N, left_N].view(N, h, w, C)


def flip(x_NHWC: Tensor, mirrored_N: Tensor) -> Tensor:
    """Mirror left to right the images where the bool tensor `mirrored_N` [N] is true."""
    return torch.where(mirrored_N[:, None, None, None], x_NHWC.flip(2), x_NHWC)


class Normalizer:
    """uint8 [N, H, W, C] to the network's input [N, C, H, W], in channels_last layout."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype) -> None:
        mean_C = torch.tensor(preprocessing.mean, dtype=torch.float64)
        std_C = torch.tensor(preprocessing.std, dtype=torch.float64)
        # One multiply-add over whole rows; a row repeats the channels' factors W times.
        repeat = preprocessing.image_px
        self._scale = (1 / (255 * std_C)).float().repeat(repeat).to(device)
        self._shift = (-mean_C / std_C).float().repeat(repeat).to(device)
        self._dtype = dtype

    def __call__(self, x_NHWC: Tensor) -> Tensor:
        """Scale `x_NHWC` to 0..1, subtract the mean and divide by the deviation, channel by channel."""
        rows = x_NHWC.flatten(2)  # [N, H, W * C]
        scaled = torch.addcmul(self._shift, rows, self._scale).to(self._dtype)
        return scaled.view(x_NHWC.shape).permute(0, 3, 1, 2)
