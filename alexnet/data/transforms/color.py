"""Shifts of an image's colour along the principal components of pixels' colours (Krizhevsky 2012, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexnet.config import AugmentConfig
from alexnet.data.dataset import AnyImages, moments
from alexnet.data.transforms.statistics import Moments
from alexnet.errors import UserError


@dataclass(frozen=True)
class ColorComponents:
    """Principal components of colours, pixels in 0..1, the strongest first."""

    eigenvalues: tuple[float, ...]
    """Of the channels' covariance: the variance along each component."""
    eigenvectors: tuple[tuple[float, ...], ...]
    """A component a row, of length 1; its largest entry is positive."""

    @classmethod
    def of(cls, found: Moments) -> ColorComponents:
        """The components of pixels whose sums were taken before."""
        values_C, columns_CC = np.linalg.eigh(np.array(found.covariance))  # ascending
        rows = [row if row[np.abs(row).argmax()] > 0 else -row for row in columns_CC.T[::-1]]
        return cls(
            tuple(max(float(value), 0.0) for value in values_C[::-1]), tuple(tuple(map(float, row)) for row in rows)
        )

    def shifts(self, alpha_NC: Tensor) -> Tensor:
        """What to add to the pixels (0..1) of each image, [N, C].

        That is the sum over components of alpha times eigenvalue times component, as the paper has it. (The authors'
        later code, cuda-convnet2, takes the standard deviation instead of the eigenvalue.)
        """
        strength_CC = torch.tensor(self.eigenvalues)[:, None] * torch.tensor(self.eigenvectors)
        return alpha_NC @ strength_CC

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"eigenvalues": list(self.eigenvalues), "eigenvectors": [list(row) for row in self.eigenvectors]}


IMAGENET_COLORS = ColorComponents(
    # From a sample of ImageNet's training images, pixels in 0..1, to the four digits published in
    # facebookarchive/fb.resnet.torch, datasets/imagenet.lua (there a component a column). Taken as published: their
    # sum, 0.24, is more than the variance by the channels' usual stds, 0.229**2 + 0.224**2 + 0.225**2 = 0.15.
    eigenvalues=(0.2175, 0.0188, 0.0045),
    eigenvectors=((0.5675, 0.5808, 0.5836), (0.7192, -0.0045, -0.6948), (-0.4009, 0.8140, -0.4203)),
)


def color_components(images: AnyImages, augment: AugmentConfig) -> ColorComponents | None:
    """The components that `augment` asks for; None where it leaves colours alone.

    Raises:
        UserError: ImageNet's are asked for grey images.
    """
    if augment.pca_color == 0:
        return None
    if augment.pca_color_of == "train":
        return ColorComponents.of(moments(images))
    if images.in_channels != 3:
        raise UserError("ImageNet's colours do not fit grey images: use augment.pca_color_of train")
    return IMAGENET_COLORS
