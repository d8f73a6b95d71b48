"""Layers of the 2012 net as its authors' code has them (computerhistory/AlexNet-Source-Code)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TowersNorm(nn.Module):
    """Response normalisation over 5 neighbouring maps, each half of the maps by itself.

    `x / (2 + 1e-4 / 5 * sum of x^2) ** 0.75`: their `cmrnorm`, whose `scale` of 1e-4 is divided by `size`, with
    `minDiv` 2 and `pow` 0.75 (layers/layer-params-145.cfg; layer.py, NormLayerParser).
    """

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Maps of the same shape; C is even."""
        halves = x_NCHW.chunk(2, dim=1)
        return torch.cat([F.local_response_norm(half, size=5, alpha=1e-4, beta=0.75, k=2.0) for half in halves], 1)


class WithinMapNorm(nn.Module):
    """Response normalisation over 5 x 5 places of the same map, fewer at the edges; the paper does not mention it.

    `x / (1 + 1e-3 / 25 * sum of x^2) ** 0.75`: their `rnorm`, called cnorm2a and cnorm2b, whose `scale` of 1e-3 is
    divided by `size` squared.
    """

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Maps of the same shape."""
        mean_square_NCHW = F.avg_pool2d(x_NCHW.square(), kernel_size=5, stride=1, padding=2)  # zeros count
        return x_NCHW * (1 + 1e-3 * mean_square_NCHW).pow(-0.75)


class MaskingDropout(nn.Module):
    """Dropout as first published: units are zeroed in training, and all are scaled by 1 - p at test time.

    `nn.Dropout` divides by 1 - p in training instead, which is the same net with other weights in the next layer.

    Args:
        p: share of units zeroed, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return F.dropout(x, self.p, training=self.training) * (1 - self.p)

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return f"p={self.p}"
