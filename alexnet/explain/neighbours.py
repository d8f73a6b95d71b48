"""Images near each other as the network sees them: distances between what its last layer is given (paper, Figure 4).

Shapes: Q queries, N images, D features, T nearest, M images of a map.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PCA = 50
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Neighbours:
    """The nearest of N images to each of Q."""

    index_QT: Tensor
    """int64, nearest first."""
    distance_QT: Tensor
    """Euclidean."""
    query_s: float
    """Seconds for one query."""
    n: int
    """Images that were searched, all of them."""


def nearest(queries_QD: Tensor, features_ND: Tensor, count: int) -> Neighbours:
    """Exact search: every distance is computed.

    Distances are found by a matrix product, and those of the candidates again by differences, which rounds less.
    """
    count = min(count, len(features_ND))
    started = time.perf_counter()
    squares_N = features_ND.square().sum(1)
    indices, distances = [], []
    for some_QD in torch.split(queries_QD, _QUERIES_AT_ONCE):
        nearly = squares_N - 2 * some_QD @ features_ND.T
        candidates = nearly.topk(min(2 * count, len(features_ND)), dim=1, largest=False).indices
        exact = (features_ND[candidates] - some_QD[:, None]).square().sum(2).sqrt()
        distance, which = exact.topk(count, dim=1, largest=False)
        indices.append(candidates.gather(1, which))
        distances.append(distance)
    took = time.perf_counter() - started
    return Neighbours(torch.cat(indices), torch.cat(distances), took / max(1, len(queries_QD)), len(features_ND))


def tsne(features_MD: Tensor, seed: int = 0) -> NDArray[np.float32]:
    """A map [M, 2] on which near images lie near each other (van der Maaten 2008), after PCA to 50 dimensions.

    Needs at least three images that differ.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    features = features_MD.numpy().astype(np.float64)
    components = min(_PCA, *features.shape)
    reduced = PCA(components, random_state=seed).fit_transform(features)
    perplexity = min(30.0, (len(reduced) - 1) / 3)
    scale = reduced.std() or 1.0
    placed: NDArray[np.float32] = TSNE(
        2, perplexity=perplexity, init="pca", random_state=seed, learning_rate="auto"
    ).fit_transform((reduced / scale).astype(np.float32))
    return placed


def in_cells(places_M2: NDArray[np.float32], cells: int) -> NDArray[np.int64]:
    """Give each image a cell of its own on a grid of `cells` x `cells`, the nearest that is free.

    Args:
        places_M2: the map.
        cells: along each side; images that find no free cell within three of their own get none.

    Returns:
        int64 [M, 2], column and row, or -1, -1.
    """
    low, high = places_M2.min(0), places_M2.max(0)
    scaled = (places_M2 - low) / np.where(high > low, high - low, 1) * (cells - 1)
    taken: set[tuple[int, int]] = set()
    found = np.full((len(places_M2), 2), -1, dtype=np.int64)
    reach = range(-3, 4)
    offsets = sorted(((dx, dy) for dx in reach for dy in reach), key=lambda o: o[0] ** 2 + o[1] ** 2)
    for i, (x, y) in enumerate(np.rint(scaled).astype(int)):
        for dx, dy in offsets:
            cell = int(x + dx), int(y + dy)
            if 0 <= cell[0] < cells and 0 <= cell[1] < cells and cell not in taken:
                taken.add(cell)
                found[i] = cell
                break
    return found


def thumbnail_map(
    places_M2: NDArray[np.float32], pixels_MHWC: NDArray[np.uint8], cells: int, thumbnail_px: int
) -> NDArray[np.uint8]:
    """The map with each image at its place: uint8 [side, side, 4], transparent where there is none."""
    side = cells * thumbnail_px
    canvas = np.zeros((side, side, 4), dtype=np.uint8)
    for (column, row), picture in zip(in_cells(places_M2, cells), pixels_MHWC, strict=True):
        if column < 0:
            continue
        top, left = row * thumbnail_px, column * thumbnail_px
        inner = thumbnail_px - 1  # a hair of space between neighbours
        canvas[top : top + inner, left : left + inner, :3] = fitted(picture, inner)
        canvas[top : top + inner, left : left + inner, 3] = 255
    return canvas


def fitted(picture_HWC: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """A picture [H, W, 1 or 3] as RGB of another size."""
    from PIL import Image

    rgb = picture_HWC if picture_HWC.shape[2] == 3 else picture_HWC.repeat(3, axis=2)
    how = Image.Resampling.NEAREST if rgb.shape[0] <= side_px else Image.Resampling.BOX
    return np.asarray(Image.fromarray(rgb).resize((side_px, side_px), how))
