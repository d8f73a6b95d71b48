"""What excites each channel most: patches of real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.data.transforms.augment import Normalizer
from alexnet.evaluation.views import image_views
from alexnet.export.explorer.describe import Description, levels, trace
from alexnet.export.explorer.fields import Window, strongest, to_image

PATCHES = 9
_BATCH = 50
_LARGEST_TILE_PX = 32
_MOST_ROWS_PX = 16_000  # a WebP picture has at most 16,383 rows
_OUTSIDE = 128
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Best:
    """The images that excite the channels of one level most, and which of their pixels do."""

    level: int
    """Position among the levels."""
    tile_px: int
    tiles_CPHWC: NDArray[np.uint8]
    """[channels, patches, tile_px, tile_px, image channels]."""
    field_px: tuple[int, int]
    """Height and width of what a unit sees."""


def network_input(pixels_NHWC: Tensor, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """The centre that a network sees of each image, uint8 [N, H, W, C], and its input [N, C, H, W]."""
    seen_NHWC = next(iter(image_views(pixels_NHWC, 1, preprocessing.image_px)))
    normalize = Normalizer(preprocessing, torch.device("cpu"), torch.float32)
    return seen_NHWC, normalize(seen_NHWC)


def best_units(found: Description, input_NCHW: Tensor, level: int) -> Tensor:
    """[units, patches]: positions of the images that excite each unit of a dense level most, the first one most."""
    last = levels(found.ops)[level]["shown"]
    values_NC = trace(found, input_NCHW)[last]
    best_UP: Tensor = values_NC.topk(min(PATCHES, len(input_NCHW)), dim=0).indices.T
    return best_UP


def best_patches(
    found: Description,
    pixels_NHWC: Tensor,
    preprocessing: Preprocessing,
    on_progress: OnProgress | None = None,
) -> list[Best]:
    """For each channel of each level of maps the patches of the nine images that excite it most.

    Args:
        found: the network.
        pixels_NHWC: uint8, images of the preprocessing's square.
        preprocessing: how they become input.
        on_progress: called with images done and their total, over two passes.
    """
    groups = [(i, level) for i, level in enumerate(levels(found.ops)) if level["kind"] == "maps"]
    N = len(pixels_NHWC)
    most: dict[int, list[Tensor]] = {i: [] for i, _ in groups}
    parts = list(torch.split(pixels_NHWC, _BATCH))
    for n, part in enumerate(parts):
        outputs = trace(found, network_input(part, preprocessing)[1])
        for i, level in groups:
            most[i].append(outputs[level["shown"]].flatten(2).amax(2))
        if on_progress is not None:
            on_progress(min((n + 1) * _BATCH, N), 2 * N)
    best = {i: torch.cat(values).topk(min(PATCHES, N), dim=0).indices.T for i, values in most.items()}  # [C, P]
    wanted: dict[int, list[tuple[int, int, int]]] = {}  # by image: level, channel, rank
    for i, image_CP in best.items():
        for channel, images in enumerate(image_CP.tolist()):
            for rank, image in enumerate(images):
                wanted.setdefault(image, []).append((i, channel, rank))
    cuts: dict[int, NDArray[np.uint8]] = {}
    fields: dict[int, tuple[int, int]] = {}
    for n in range(0, N, _BATCH):
        chosen = [image for image in range(n, min(n + _BATCH, N)) if image in wanted]
        if chosen:
            seen_NHWC, input_NCHW = network_input(pixels_NHWC[chosen], preprocessing)
            outputs = trace(found, input_NCHW)
            shapes = [input_NCHW.shape[2:], *(tuple(out.shape[2:]) for out in outputs[:-1])]
            for place, image in enumerate(chosen):
                own = [out[place] for out in outputs]
                for i, channel, rank in wanted[image]:
                    level = levels_of(groups, i)
                    window = _field(found, own, shapes, level, channel)
                    if i not in cuts:
                        fields[i] = _field_px(found, shapes, level)
                        cuts[i] = _empty(best[i].shape, fields[i], seen_NHWC.shape)
                    cuts[i][channel, rank] = _cut(seen_NHWC[place].numpy(), window, fields[i], cuts[i].shape[2])
        if on_progress is not None:
            on_progress(N + min(n + _BATCH, N), 2 * N)
    return [Best(i, cuts[i].shape[2], cuts[i], fields[i]) for i, _ in groups]


def levels_of(groups: Sequence[tuple[int, dict[str, Any]]], i: int) -> dict[str, Any]:
    """The level at position `i`."""
    return next(level for number, level in groups if number == i)


def _convolution(found: Description, level: dict[str, Any]) -> int:
    return next(i for i in range(level["first"], level["last"] + 1) if found.ops[i]["op"] == "conv")


def _field(
    found: Description, own: list[Tensor], shapes: Sequence[Sequence[int]], level: dict[str, Any], channel: int
) -> Window:
    conv = _convolution(found, level)
    at = int(own[level["shown"]][channel].argmax())
    window = strongest(found.ops, own, conv, level["shown"], channel, at)
    return to_image(found.ops, shapes, conv, window)


def _field_px(found: Description, shapes: Sequence[Sequence[int]], level: dict[str, Any]) -> tuple[int, int]:
    """Of one unit of the level's convolution, at most the image's own size."""
    one = to_image(found.ops, shapes, _convolution(found, level), Window(0, 1, 0, 1))
    H, W = shapes[0]
    return min(one.height, int(H)), min(one.width, int(W))


def _empty(channels_by_patches: Sequence[int], field_px: tuple[int, int], shape: Sequence[int]) -> NDArray[np.uint8]:
    C, P = channels_by_patches
    tile_px = max(1, min(max(field_px), _LARGEST_TILE_PX, _MOST_ROWS_PX // C))
    return np.zeros((C, P, tile_px, tile_px, shape[3]), np.uint8)


def _cut(pixels_HWC: NDArray[np.uint8], window: Window, field_px: tuple[int, int], tile_px: int) -> NDArray[np.uint8]:
    """A square with the window's pixels; what lies outside of the image is grey."""
    from PIL import Image

    H, W, C = pixels_HWC.shape
    side = max(field_px)
    top = window.top if field_px[0] < H or window.height <= H else 0
    left = window.left if field_px[1] < W or window.width <= W else 0
    if field_px[0] == H:
        top = 0
    if field_px[1] == W:
        left = 0
    square = np.full((side, side, C), _OUTSIDE, np.uint8)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + side, H), min(left + side, W)
    if y1 > y0 and x1 > x0:
        square[y0 - top : y1 - top, x0 - left : x1 - left] = pixels_HWC[y0:y1, x0:x1]
    if side == tile_px:
        return square
    image = Image.fromarray(square if C == 3 else square[..., 0])
    small: NDArray[np.uint8] = np.asarray(image.resize((tile_px, tile_px), Image.Resampling.BOX))
    return small.reshape(tile_px, tile_px, C)
