"""Views of an image that are scored and averaged (Krizhevsky 2012, 4.1: five crops and their mirrors)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet.config import UserError

VIEWS = (1, 2, 10)


def check_views(views: int) -> None:
    """Raise `UserError` unless `views` is 1, 2 or 10."""
    if views not in VIEWS:
        raise UserError(
            f"views must be 1, 2 (and mirrored) or 10 (four corners and centre, and mirrored), not {views}"
        )


def image_views(x_NHWC: Tensor, views: int) -> list[Tensor]:
    """The views of a batch, each of the batch's own shape.

    The images already have the network's size, so the corners are cut from the image with a zero border of an
    eighth of its side (4 px at 32 px), the border training crops with.

    Args:
        x_NHWC: uint8 [N, H, W, C].
        views: 1: as it is; 2: and mirrored; 10: four corners and the centre, and all five mirrored.

    Raises:
        UserError: another number of views.
    """
    check_views(views)
    crops = [x_NHWC]
    if views == 10:
        H, W = x_NHWC.shape[1:3]
        border = max(H // 8, 1)
        padded = F.pad(x_NHWC, (0, 0, border, border, border, border))
        places = [(0, 0), (0, 2 * border), (2 * border, 0), (2 * border, 2 * border)]
        crops += [padded[:, top : top + H, left : left + W].contiguous() for top, left in places]
    if views > 1:
        crops += [torch.flip(crop, (2,)) for crop in crops]
    return crops
