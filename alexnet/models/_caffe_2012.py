"""The net of 2012 as Caffe and others rebuilt and trained it: other orders, and poolings that reach over the edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexnet.config import Activation, Variant
from alexnet.models._build import activation_layer
from alexnet.models._response_norm import ResponseNorm

# All divide alpha by the number of maps, 5, as torch does.
_ALPHA = 1e-4 / 5
_NORM_K = {"bvlc_alexnet": 1.0, "caffenet": 1.0, "imgclsmob": 2.0}  # Caffe's LRNParameter.k; MXNet's LRN knorm

REBUILT = tuple(_NORM_K)
"""Variants of `alexnet_2012` that are built here."""


class SubtractImage(nn.Module):
    """Subtracts an image from each input: what is left of a mean image when the mean of each channel is subtracted.

    The image is a buffer, zeros at first, in the units of the normalised input.

    Args:
        in_channels: C.
        image_px: its side, which inputs must have.
    """

    image: Tensor

    def __init__(self, in_channels: int, image_px: int) -> None:
        super().__init__()
        self.register_buffer("image", torch.zeros(in_channels, image_px, image_px))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Images of the same shape."""
        return x_NCHW - self.image.to(x_NCHW.dtype)


def rebuilt_layers(in_channels: int, activation: Activation, variant: Variant) -> list[tuple[str, nn.Module]]:
    """conv1 to act5, at 227 px maps of 55, 27, 13, 13, 13 and 6 px.

    `bvlc_alexnet` normalises before it pools, `caffenet` after (BVLC/caffe, models/bvlc_*/deploy.prototxt);
    `imgclsmob` is the former with convolutions that see all maps, and k = 2 (osmr/imgclsmob, gluon alexnet).
    """
    groups = 1 if variant == "imgclsmob" else 2

    def after(number: int) -> list[tuple[str, nn.Module]]:
        pool = (f"pool{number}", _pool())
        norm = (f"norm{number}", ResponseNorm(_ALPHA, _NORM_K[variant]))
        return [pool, norm] if variant == "caffenet" else [norm, pool]

    return [
        ("conv1", nn.Conv2d(in_channels, 96, kernel_size=11, stride=4)),
        ("act1", activation_layer(activation)),
        *after(1),
        ("conv2", nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=groups)),
        ("act2", activation_layer(activation)),
        *after(2),
        ("conv3", nn.Conv2d(256, 384, kernel_size=3, padding=1)),
        ("act3", activation_layer(activation)),
        ("conv4", nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=groups)),
        ("act4", activation_layer(activation)),
        ("conv5", nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=groups)),
        ("pool5", _pool()),
        ("act5", activation_layer(activation)),
    ]


def _pool() -> nn.Module:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)  # Caffe's last window reaches over the edge
