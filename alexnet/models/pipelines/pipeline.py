"""The pipelines by name: features made by hand or by k-means, then a shallow classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.models import ConvNet
from alexnet.models.pipelines.classifiers import NearestNeighbors, RbfKernel
from alexnet.models.pipelines.color import ColorHistogram
from alexnet.models.pipelines.hog import Hog, to_levels
from alexnet.models.pipelines.words import KMeansFeatures, VisualWords

NAMES = ("pixels_knn", "hog_linear", "hog_color_linear", "hog_rbf", "visual_words", "kmeans_features")
_CELLS = 8  # of HOG, a side: 4 px at 32 px
_SMALLEST_PX = 16


class Pipeline(ConvNet):
    """Features, then a classifier on them: the two parts of a network, neither learned by gradients from the other.

    Its input are pixels in 0..1. It computes in fp32 whatever the precision asked for, as distances need it.
    """

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Class scores [N, K], whose softmax are probabilities."""
        with torch.autocast(x_NCHW.device.type, enabled=False):
            scores_NK: Tensor = self.classifier(self.features(x_NCHW.float()))
        return scores_NK


class Pixels(nn.Module):
    """The levels 0..255 themselves, uint8; D = `features_out`."""

    def __init__(self, in_channels: int, image_px: int) -> None:
        super().__init__()
        self.features_out = in_channels * image_px**2

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Pixels in 0..1 to [N, D]."""
        return to_levels(x_NCHW).to(torch.uint8).flatten(1)


class Union(nn.Module):
    """Several features side by side; D = `features_out`."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.features_out = sum(part.features_out for part in parts)  # type: ignore[misc]

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Pixels in 0..1 to [N, D]."""
        return torch.cat([part(x_NCHW) for part in self.parts], 1)


def extractor(name: str, in_channels: int, image_px: int, words: int | None = None) -> nn.Module:
    """The features of the pipeline `name`: pixels in 0..1, [N, C, H, W], to [N, features_out].

    Args:
        name: one of `NAMES`.
        in_channels: 1 or 3.
        image_px: side of the images.
        words: size of the dictionary, for those that have one.

    Raises:
        UserError: the name is unknown, or the images are too small.
    """
    if image_px < _SMALLEST_PX:
        raise UserError(f"{name} needs images of at least {_SMALLEST_PX} px, not {image_px}: set --image-px")
    cell_px = image_px // _CELLS
    match name:
        case "pixels_knn":
            return Pixels(in_channels, image_px)
        case "hog_linear":
            return Hog(image_px, cell_px, grey=True)
        case "hog_color_linear" | "hog_rbf":
            return Union(Hog(image_px, cell_px, grey=False), ColorHistogram(in_channels, image_px))
        case "visual_words" if words is not None:
            return VisualWords(image_px, words)
        case "kmeans_features" if words is not None:
            return KMeansFeatures(in_channels, image_px, words)
    raise UserError(f"unknown baseline {name!r}: choose one of {', '.join(NAMES)}")


def create(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_px: int,
    words: int | None = None,
    kept: int | None = None,
    neighbors: int | None = None,
    landmarks: int | None = None,
    gamma: float | None = None,
) -> Pipeline:
    """The pipeline `name` with all its numbers 0, as weights are read into it.

    Args:
        name: one of `NAMES`.
        num_classes: K.
        in_channels: 1 or 3.
        image_px: side of the images.
        words: size of the dictionary: `visual_words`, `kmeans_features`.
        kept: images kept: `pixels_knn`.
        neighbors: of which so many vote: `pixels_knn`.
        landmarks: images the kernel compares with: `hog_rbf`.
        gamma: width of the kernel: `hog_rbf`.

    Raises:
        UserError: the name is unknown, or the images are too small.
        TypeError: a number that the pipeline needs is missing.
    """
    features: Any = extractor(name, in_channels, image_px, words)
    D = features.features_out
    if name == "pixels_knn":
        return Pipeline(
            nn.Sequential(features),
            nn.Sequential(NearestNeighbors(_given(kept), D, num_classes, _given(neighbors))),
        )
    layers: list[nn.Module] = []
    if name == "hog_rbf":
        layers.append(RbfKernel(_given(landmarks), D, _given(gamma)))
        D = _given(landmarks)
    return Pipeline(nn.Sequential(features), nn.Sequential(*layers, nn.Linear(D, num_classes)))


def _given(value: Any) -> Any:
    if value is None:
        raise TypeError("a number is missing among its options")
    return value
