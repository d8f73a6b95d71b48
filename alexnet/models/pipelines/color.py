"""Colour histograms (Swain and Ballard 1991) over a grid of regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexnet.models.pipelines.hog import to_levels

_BINS_PER_CHANNEL = 4
_REGIONS = 4  # a side


class ColorHistogram(nn.Module):
    """How often each colour occurs in each of 4x4 regions, as the root of its share of the region's pixels.

    Colours are the 4x4x4 parts of the RGB cube; of grey images, 4 levels. The root (Hellinger's kernel) keeps large
    even surfaces from outweighing everything else. D = `features_out`.

    Args:
        in_channels: 1 or 3.
        image_px: side of the images; pixels beyond the last region are left out.
    """

    def __init__(self, in_channels: int, image_px: int) -> None:
        super().__init__()
        self.colors = _BINS_PER_CHANNEL**in_channels
        self.region_px = image_px // _REGIONS
        self.features_out = _REGIONS**2 * self.colors

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Pixels in 0..1 to [N, D] in 0..1."""
        N, C, _, _ = x_NCHW.shape
        side = _REGIONS * self.region_px
        bins_NCHW = (to_levels(x_NCHW[:, :, :side, :side]) / (256 / _BINS_PER_CHANNEL)).long()
        color_NHW = torch.zeros_like(bins_NCHW[:, 0])
        for c in range(C):
            color_NHW = color_NHW * _BINS_PER_CHANNEL + bins_NCHW[:, c]
        row = torch.arange(side, device=x_NCHW.device) // self.region_px
        region_HW = row[:, None] * _REGIONS + row
        place_NP = (region_HW * self.colors + color_NHW).flatten(1)
        counts_ND = torch.zeros(N, self.features_out, device=x_NCHW.device)
        counts_ND.scatter_add_(1, place_NP, torch.ones((), device=x_NCHW.device).expand_as(place_NP))
        return (counts_ND / self.region_px**2).sqrt_()
