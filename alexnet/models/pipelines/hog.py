"""Histograms of oriented gradients (Dalal and Triggs 2005) and dense SIFT (Lowe 2004), a batch at a time.

Shapes: N images, C channels, H W pixels, O orientations, D numbers an image.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HOG_ORIENTATIONS = 9  # over 180 degrees; more gain nothing (Dalal 2005, section 6.3)
SIFT_ORIENTATIONS = 8  # over 360 degrees (Lowe 2004, section 6.1)
SIFT_CELLS = 4  # a side (Lowe 2004, section 6.2)
_BLOCK_CELLS = 2  # a side (Dalal 2005, section 6.4)
_CLIP = 0.2  # of a normalised block: "L2-Hys" (Lowe 2004, section 6.1; Dalal 2005, section 6.4)
_HOG_EPS = 1e-5  # scikit-image's, so that values agree
_GREY = (0.2125, 0.7154, 0.0721)  # luminance of Rec. 709, as scikit-image's rgb2gray


def to_grey(x_NCHW: Tensor) -> Tensor:
    """Luminance [N, 1, H, W] of RGB images; grey images as they are."""
    if x_NCHW.shape[1] == 1:
        return x_NCHW
    weights_C = torch.tensor(_GREY, dtype=x_NCHW.dtype, device=x_NCHW.device)
    return torch.einsum("nchw,c->nhw", x_NCHW, weights_C)[:, None]


def hog(x_NCHW: Tensor, cell_px: int) -> Tensor:
    """Histograms of oriented gradients, the values of `skimage.feature.hog`.

    Those of 9 orientations, blocks of 2x2 cells one cell apart and the norm L2-Hys. Of several channels, each pixel
    takes the one with the largest gradient (Dalal 2005, section 6.2).

    Args:
        x_NCHW: floats [N, C, H, W], of any range.
        cell_px: side of a cell; pixels beyond the last whole cell are left out.

    Returns:
        [N, D] in 0..1, D = 36 * (H // cell_px - 1) * (W // cell_px - 1), in scikit-image's order.

    Raises:
        ValueError: the images have fewer than two cells a side.
    """
    N, _, H, W = x_NCHW.shape
    rows, columns = H // cell_px, W // cell_px
    if min(rows, columns) < _BLOCK_CELLS:
        raise ValueError(f"images of {H}x{W} px have fewer than two cells of {cell_px} px a side")
    dy_NHW, dx_NHW = (d[:, : rows * cell_px, : columns * cell_px] for d in _strongest_gradient(x_NCHW))
    magnitude_NHW = (dy_NHW.square() + dx_NHW.square()).sqrt_()
    # An orientation is a line: gradients that point down or left are turned round, into 0 <= angle < 180 degrees.
    turn_NHW = torch.where((dy_NHW < 0) | ((dy_NHW == 0) & (dx_NHW < 0)), -1.0, 1.0).to(dy_NHW.dtype)
    angle_NHW = torch.atan2(dy_NHW * turn_NHW, dx_NHW * turn_NHW)
    bin_NHW = (angle_NHW * (HOG_ORIENTATIONS / math.pi)).to(torch.int32).clamp_(max=HOG_ORIENTATIONS - 1)
    cells_NOHW = torch.stack(
        [_cell_means(magnitude_NHW * (bin_NHW == o), rows, columns) for o in range(HOG_ORIENTATIONS)], 1
    )
    blocks = cells_NOHW.unfold(2, _BLOCK_CELLS, 1).unfold(3, _BLOCK_CELLS, 1)  # [N, O, rows - 1, columns - 1, 2, 2]
    blocks = blocks.permute(0, 2, 3, 4, 5, 1).reshape(N, -1, _BLOCK_CELLS**2 * HOG_ORIENTATIONS)
    return _l2_hys(blocks, _HOG_EPS).flatten(1)


def _strongest_gradient(x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences down and across, [N, H, W] each, 0 at the border, of the channel where they are longest."""
    dy_NCHW, dx_NCHW = torch.zeros_like(x_NCHW), torch.zeros_like(x_NCHW)
    dy_NCHW[:, :, 1:-1] = x_NCHW[:, :, 2:] - x_NCHW[:, :, :-2]
    dx_NCHW[..., 1:-1] = x_NCHW[..., 2:] - x_NCHW[..., :-2]
    dy, dx = dy_NCHW[:, 0], dx_NCHW[:, 0]
    longest = dy.square() + dx.square()
    for c in range(1, x_NCHW.shape[1]):
        length = dy_NCHW[:, c].square() + dx_NCHW[:, c].square()
        longer = length > longest  # the first of equals stays
        dy, dx = torch.where(longer, dy_NCHW[:, c], dy), torch.where(longer, dx_NCHW[:, c], dx)
        longest = torch.maximum(length, longest)
    return dy, dx


def _cell_means(x_NHW: Tensor, rows: int, columns: int) -> Tensor:
    """Mean of each of rows x columns equal cells."""
    N, H, W = x_NHW.shape
    across = x_NHW.view(N, rows, H // rows, W).sum(2)  # down first, along memory: the fast way round
    return across.view(N, rows, columns, W // columns).sum(3) / (H // rows * (W // columns))


def _l2_hys(blocks: Tensor, eps: float) -> Tensor:
    """Scale the last axis to length 1, clip, and scale again."""
    blocks = blocks / (blocks.square().sum(-1, keepdim=True) + eps**2).sqrt()
    blocks = blocks.clamp(max=_CLIP)
    return blocks / (blocks.square().sum(-1, keepdim=True) + eps**2).sqrt()


def dense_sift(x_NCHW: Tensor, cell_px: int, step_px: int) -> Tensor:
    """SIFT descriptors of upright patches at every `step_px` pixels (Lazebnik 2006, section 4).

    A patch is 4x4 cells; each cell holds a histogram of gradients over 8 directions, shared linearly between
    the two nearest. A patch without any gradient is all 0.

    Args:
        x_NCHW: floats [N, C, H, W]; RGB is turned grey.
        cell_px: side of a cell.
        step_px: pixels from one patch to the next.

    Returns:
        [N, rows, columns, 128] in 0..1, rows = (H - 4 * cell_px) // step_px + 1, columns likewise.

    Raises:
        ValueError: the images are smaller than a patch.
    """
    H, W = x_NCHW.shape[2:]
    if min(H, W) < SIFT_CELLS * cell_px:
        raise ValueError(f"images of {H}x{W} px are smaller than a patch of {SIFT_CELLS * cell_px} px")
    dy_NHW, dx_NHW = _strongest_gradient(to_grey(x_NCHW))
    magnitude_NHW = (dy_NHW.square() + dx_NHW.square()).sqrt_()
    turn_NHW = torch.atan2(dy_NHW, dx_NHW) * (SIFT_ORIENTATIONS / (2 * math.pi))  # -4..4 steps from pointing right
    maps = []
    for o in range(SIFT_ORIENTATIONS):
        away_NHW = (turn_NHW - o + SIFT_ORIENTATIONS / 2).remainder(SIFT_ORIENTATIONS) - SIFT_ORIENTATIONS / 2
        maps.append(magnitude_NHW * (1 - away_NHW.abs()).clamp_(min=0))
    cells_NOHW = F.avg_pool2d(torch.stack(maps, 1), cell_px, stride=1)  # a cell that begins at every pixel
    rows, columns = ((side - SIFT_CELLS * cell_px) // step_px + 1 for side in (H, W))
    starts = [i * cell_px for i in range(SIFT_CELLS)]
    parts = [
        cells_NOHW[:, :, y : y + (rows - 1) * step_px + 1 : step_px, x : x + (columns - 1) * step_px + 1 : step_px]
        for y in starts
        for x in starts
    ]
    return _l2_hys(torch.cat(parts, 1).permute(0, 2, 3, 1), _HOG_EPS)


class Hog(nn.Module):
    """`hog` of pixels in 0..1, as a layer; D = `features_out`.

    Args:
        image_px: side of the images.
        cell_px: side of a cell.
        grey: look at luminance alone, not at the strongest channel.
    """

    def __init__(self, image_px: int, cell_px: int, *, grey: bool) -> None:
        super().__init__()
        self.cell_px, self.grey = cell_px, grey
        self.features_out = _BLOCK_CELLS**2 * HOG_ORIENTATIONS * (image_px // cell_px - 1) ** 2

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """[N, D]."""
        levels_NCHW = to_levels(x_NCHW)
        return hog(to_grey(levels_NCHW) if self.grey else levels_NCHW, self.cell_px)


def to_levels(x_NCHW: Tensor) -> Tensor:
    """Pixels in 0..1 as the whole numbers 0..255 they were, in fp32: differences and ties are exact."""
    return (x_NCHW.float() * 255).round_()
