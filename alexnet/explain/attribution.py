"""Which pixels an answer rests on: Grad-CAM, occlusion and integrated gradients.

Shapes: N images, C channels, H W pixels, K classes. All take the network's input and give one number a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.explain.layers import Layer
from alexnet.explain.reading import key_of, reading

_AT_ONCE_PIXELS = 250 * 32 * 32


def grad_cam(model: nn.Module, x_NCHW: Tensor, class_N: Tensor, layer: Layer) -> Tensor:
    """Where `layer` finds what speaks for a class (Selvaraju 2017): maps weighed by their mean gradients, >= 0.

    Args:
        model: the network, in eval mode.
        x_NCHW: its input.
        class_N: int64, the class of each image that is to be explained.
        layer: a convolution; the last one has the most meaning and the least detail.

    Returns:
        [N, H, W], brought to the input's size by bilinear interpolation.
    """
    with torch.enable_grad(), reading(model, [key_of(layer)]) as seen:
        scores_NK = model(x_NCHW.detach().requires_grad_())
        maps = seen[key_of(layer)]
        (gradient,) = torch.autograd.grad(scores_NK.gather(1, class_N[:, None]).sum(), maps)
    weight_NC11 = gradient.mean((2, 3), keepdim=True)
    cam_N1hw = (weight_NC11 * maps.detach()).sum(1, keepdim=True).relu()
    return F.interpolate(cam_N1hw, size=x_NCHW.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def integrated_gradients(
    model: nn.Module, x_NCHW: Tensor, class_N: Tensor, baseline_NCHW: Tensor | None = None, steps: int = 64
) -> tuple[Tensor, Tensor]:
    """What each pixel adds to a class's score on the way from a baseline (Sundararajan 2017).

    Args:
        model: the network, in eval mode.
        x_NCHW: its input.
        class_N: int64, the class of each image that is to be explained.
        baseline_NCHW: where the way begins; None: zeros, which are the mean colour of the training images.
        steps: points of the way, placed and weighed by Gauss and Legendre.

    Returns:
        [N, H, W], summed over the channels, and [N]: how far they are, all together, from the difference of the two
        scores, which they should add up to.
    """
    baseline_NCHW = torch.zeros_like(x_NCHW) if baseline_NCHW is None else baseline_NCHW
    points, weights = np.polynomial.legendre.leggauss(steps)
    total_NCHW = torch.zeros_like(x_NCHW)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        on_the_way = (baseline_NCHW + float(point) * (x_NCHW - baseline_NCHW)).detach().requires_grad_()
        with torch.enable_grad():
            scores_NK = model(on_the_way)
            (gradient,) = torch.autograd.grad(scores_NK.gather(1, class_N[:, None]).sum(), on_the_way)
        total_NCHW += float(weight) * gradient
    each_NHW = (total_NCHW * (x_NCHW - baseline_NCHW)).sum(1)
    with torch.no_grad():
        rise_N = (model(x_NCHW) - model(baseline_NCHW)).gather(1, class_N[:, None])[:, 0]
    return each_NHW, each_NHW.sum((1, 2)) - rise_N


def occlusion(model: nn.Module, x_NCHW: Tensor, class_N: Tensor, window_px: int, stride_px: int) -> Tensor:
    """How far a class's probability falls when a square is covered with the mean colour (Zeiler 2014).

    Args:
        model: the network, in eval mode.
        x_NCHW: its input.
        class_N: int64, the class of each image that is to be explained.
        window_px: side of the square.
        stride_px: distance of neighbouring squares; the last ones may reach over the edge.

    Returns:
        [N, H, W]: the mean over the squares that cover a pixel; negative where covering it helps.
    """
    N, _, H, W = x_NCHW.shape
    tops, lefts = (range(0, max(side - window_px + stride_px, 1), stride_px) for side in (H, W))
    covers_PHW = torch.zeros(len(tops) * len(lefts), H, W, dtype=torch.bool, device=x_NCHW.device)
    for p, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        covers_PHW[p, top : top + window_px, left : left + window_px] = True
    fall_NP = x_NCHW.new_zeros(N, len(covers_PHW), dtype=torch.float32)
    at_once = max(1, _AT_ONCE_PIXELS // (H * W))
    with torch.inference_mode():
        before_N1 = model(x_NCHW).float().softmax(1).gather(1, class_N[:, None])
        for i in range(N):
            for some in torch.split(torch.arange(len(covers_PHW), device=x_NCHW.device), at_once):
                hidden = torch.where(covers_PHW[some, None], 0, x_NCHW[i])
                p = model(_laid_out_as(hidden, x_NCHW)).float().softmax(1)[:, class_N[i]]
                fall_NP[i, some] = before_N1[i] - p
    covers_PD = covers_PHW.flatten(1).float()
    return (fall_NP @ covers_PD / covers_PD.sum(0).clamp(min=1)).view(N, H, W)


def _laid_out_as(x_NCHW: Tensor, like_NCHW: Tensor) -> Tensor:
    if like_NCHW.is_contiguous():
        return x_NCHW.contiguous()
    return x_NCHW.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Windows:
    """Squares that occlusion covers an image with."""

    window_px: int
    stride_px: int

    @classmethod
    def of(cls, image_px: int, macs: int, budget_macs: float) -> Windows:
        """A square of about a fifth of the side, moved as finely as `budget_macs` multiply-adds an image allow."""
        window = max(2, round(image_px / 5))
        for stride in range(max(1, window // 8), window):
            count = -(-(image_px - window) // stride) + 1
            if count**2 * macs <= budget_macs:
                return cls(window, stride)
        return cls(window, window)


def rank_correlation(a_NHW: Tensor, b_NHW: Tensor) -> float:
    """Spearman's correlation of the sizes of two attributions, the mean over N images, in -1..1.

    NaN where one of them says the same of all pixels in every image.
    """
    from scipy.stats import rankdata

    found = []
    for a, b in zip(a_NHW.detach().abs().cpu().numpy(), b_NHW.detach().abs().cpu().numpy(), strict=True):
        ranks = [rankdata(np.round(x.ravel() / (x.max() or 1), 6)) for x in (a, b)]
        if ranks[0].std() > 0 and ranks[1].std() > 0:
            found.append(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
    return float(np.mean(found)) if found else float("nan")
