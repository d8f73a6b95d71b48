"""Views of an image that are scored and averaged (Krizhevsky 2012, 4.1: five crops and their mirrors)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from alexnet.config import CropBorder
from alexnet.data.transforms.augment import with_border
from alexnet.errors import UserError

Views = int | Literal["dense"]
VIEWS: tuple[Views, ...] = (1, 2, 5, 10, "dense")
_GRID = 5  # dense: crops along each side, 8 px apart where 224 px are cut from 256


def check_views(views: Views) -> None:
    """Raise `UserError` unless `views` is one of `VIEWS`."""
    if views not in VIEWS:
        raise UserError(
            "views must be 1, 2 (and mirrored), 5 (four corners and centre), 10 (these and mirrored) or "
            f"dense (a grid of 25 crops, and mirrored), not {views}"
        )


def crops_larger_images(views: Views) -> bool:
    """Whether `views` are cut at several places, from images larger than the network's input."""
    return views not in (1, 2)


def image_views(
    x_NHWC: Tensor,
    views: Views,
    image_px: int | None = None,
    border_px: int | None = None,
    border: CropBorder = "black",
) -> Iterator[Tensor]:
    """The views of a batch, each of the network's size, one after the other.

    Of larger images (256 px for a network of 224 in the paper) the corners and the centre are cut. Images that
    have the network's size already get a border first, such as training crops with. Crops are true views of the
    network as it was trained: where one went over larger images without cutting, padding and the dense layers' place
    would differ.

    Args:
        x_NHWC: uint8 [N, H, H, C].
        views: 1: the centre; 2: and mirrored; 5: the centre and four corners; 10: all five, and mirrored; dense: a
            grid of 5 x 5 crops from corner to corner, fewer where they would coincide, and mirrored.
        image_px: side of the views, at most H; None: H.
        border_px: width of the border where several places are cut; None: an eighth of the side for images of the
            network's size (4 px at 32 px), none for larger ones.
        border: what the border shows: `black`, or the image reflected at its edge, which must then be wider.

    Raises:
        UserError: another number of views.
    """
    check_views(views)
    side_px = x_NHWC.shape[1]
    image_px = image_px or side_px
    if border_px is None:
        border_px = 0 if side_px > image_px else max(side_px // 8, 1)
    if crops_larger_images(views) and border_px > 0:
        x_NHWC = with_border(x_NHWC, border_px, border)
    places = _places(views, x_NHWC.shape[1] - image_px)
    return _cut(x_NHWC, places, image_px, (False, True) if views in (2, 10, "dense") else (False,))


def _cut(
    x_NHWC: Tensor, places: list[tuple[int, int]], image_px: int, mirrored: tuple[bool, ...]
) -> Iterator[Tensor]:
    for is_mirrored in mirrored:
        for top, left in places:
            view_NHWC = x_NHWC[:, top : top + image_px, left : left + image_px]
            yield view_NHWC.flip(2) if is_mirrored else view_NHWC.contiguous()


def _places(views: Views, far: int) -> list[tuple[int, int]]:
    """First row and column of each crop; the last there is is `far`."""
    centre = far // 2, far // 2
    if views == "dense":
        along = sorted({i * far // (_GRID - 1) for i in range(_GRID)})
        return [(top, left) for top in along for left in along]
    return [centre, *((top, left) for top in (0, far) for left in (0, far))] if views in (5, 10) else [centre]


def averaged(log_p: Iterable[Tensor]) -> Tensor:
    """Log of the mean of probabilities, [N, K], each given as its log; only one is kept beside the sum."""
    each = iter(log_p)
    total_NK, count = next(each), 1
    for one_NK in each:
        total_NK, count = torch.logaddexp(total_NK, one_NK), count + 1
    return total_NK - math.log(count)
