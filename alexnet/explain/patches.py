"""The parts of images that excite a channel most, cut out of the real images, and sheets of them.

Shapes: C channels, T best images of each, S pixels a side, N images.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from alexnet.data import AnyImages
from alexnet.explain.channels import Channels
from alexnet.explain.layers import Field
from alexnet.explain.subject import centre

_GREY = 128
_ACROSS = 3


def best_patches(found: Channels, images: AnyImages, image_px: int, channels: Tensor) -> Tensor:
    """The nine patches of each of some channels, strongest first.

    Args:
        found: what the layer's channels answered to `images`.
        images: those images.
        image_px: side of what the network sees of them, their centre.
        channels: int64 [C], which channels.

    Returns:
        uint8 [C, T, S, S', 1 or 3]: the receptive field of the place that answered, or the whole image where a place
        sees all of it; grey beyond the image's edge.
    """
    image_CT, place_CT = found.image_CT[channels], found.place_CT[channels]
    needed, which = torch.unique(image_CT, return_inverse=True)
    taken = images.take(needed)
    pixels_NHWC = centre(torch.cat(list(taken.parts(1024))), image_px)
    field = found.layer.field
    if field is None:
        return pixels_NHWC[which]
    width = found.layer.map_px[1]
    place_M = place_CT.flatten()
    found_MSSc = cut(pixels_NHWC, which.flatten(), place_M // width, place_M % width, field)
    return found_MSSc.view(*image_CT.shape, *found_MSSc.shape[1:])


def cut(pixels_NHWC: Tensor, index_M: Tensor, row_M: Tensor, column_M: Tensor, field: Field) -> Tensor:
    """What places of a map see: uint8 [M, size, size', C], grey beyond the images' edges.

    Args:
        pixels_NHWC: uint8 images.
        index_M: the image of each place.
        row_M: its row in the map.
        column_M: its column.
        field: the map's receptive field.
    """
    top_M, left_M = field.rows.first + row_M * field.rows.step, field.columns.first + column_M * field.columns.step
    border = max(field.rows.size, field.columns.size, -field.rows.first, -field.columns.first)
    padded = F.pad(pixels_NHWC, (0, 0, border, border, border, border), value=_GREY)
    rows = (top_M + border)[:, None] + torch.arange(field.rows.size)
    columns = (left_M + border)[:, None] + torch.arange(field.columns.size)
    limit_H, limit_W = padded.shape[1] - 1, padded.shape[2] - 1
    return padded[index_M[:, None, None], rows.clamp(0, limit_H)[:, :, None], columns.clamp(0, limit_W)[:, None, :]]


def sheet(patches_CTSSc: Tensor, tile_px: int, columns: int, gap_px: int = 1) -> NDArray[np.uint8]:
    """Squares of 3 x 3 patches side by side: uint8 [height, width, 3].

    Args:
        patches_CTSSc: as `best_patches` gives them; fewer than nine leave white places.
        tile_px: side that each patch is brought to.
        columns: squares side by side.
        gap_px: white between the patches of a square; squares lie three times that apart, at equal steps.
    """
    C, T = patches_CTSSc.shape[:2]
    x = patches_CTSSc.flatten(0, 1).permute(0, 3, 1, 2).float()
    mode = "nearest" if x.shape[2] <= tile_px else "area"
    resized = F.interpolate(x, size=(tile_px, tile_px), mode=mode).round().clamp(0, 255).to(torch.uint8)
    tiles = resized.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).reshape(C, T, tile_px, tile_px, 3).numpy()
    step = square_px(tile_px, gap_px)
    rows = -(-C // columns)
    canvas = np.full((rows * step, columns * step, 3), 255, dtype=np.uint8)
    for i in range(T):
        top, left = (place * (tile_px + gap_px) for place in divmod(i, _ACROSS))
        for c in range(C):
            y, x0 = c // columns * step + top, c % columns * step + left
            canvas[y : y + tile_px, x0 : x0 + tile_px] = tiles[c, i]
    return canvas


def square_px(tile_px: int, gap_px: int = 1) -> int:
    """Side of a square of 3 x 3 patches, the gap to the next one included."""
    return _ACROSS * tile_px + (_ACROSS - 1) * gap_px + 3 * gap_px
