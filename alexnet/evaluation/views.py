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


def image_views(x_NHWC: Tensor, views: int, image_px: int | None = None) -> list[Tensor]:
    """The views of a batch, each of the network's size.

    Of larger images (256 px for a network of 224 in the paper) the corners and the centre are cut. Images that
    have the network's size already get a zero border of an eighth of their side first (4 px at 32 px), the border
    training crops with.

    Args:
        x_NHWC: uint8 [N, H, H, C].
        views: 1: the centre; 2: and mirrored; 10: four corners and the centre, and all five mirrored.
        image_px: side of the views, at most H; None: H.

    Raises:
        UserError: another number of views.
    """
    check_views(views)
    side_px = x_NHWC.shape[1]
    image_px = image_px or side_px
    margin = (side_px - image_px) // 2
    crops = [_cut(x_NHWC, margin, margin, image_px)]
    if views == 10:
        border = 0 if side_px > image_px else max(side_px // 8, 1)
        padded = F.pad(x_NHWC, (0, 0, border, border, border, border))
        far = side_px + 2 * border - image_px
        crops += [_cut(padded, top, left, image_px) for top in (0, far) for left in (0, far)]
    if views > 1:
        crops += [torch.flip(crop, (2,)) for crop in crops]
    return crops


def _cut(x_NHWC: Tensor, top: int, left: int, image_px: int) -> Tensor:
    return x_NHWC[:, top : top + image_px, left : left + image_px].contiguous()
