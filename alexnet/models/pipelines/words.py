"""Features that compare every patch of an image with a dictionary, which k-means finds.

Shapes: N images, C channels, H W pixels, L places of patches in an image, P numbers a patch, M words, D features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.models.pipelines.hog import dense_sift, to_levels

_CHUNK_FLOATS = 1 << 20  # of the largest array in between: 4 MiB, so that it stays in the cache
_SIFT_NUMBERS = 128
_SIFT_IMAGES = 64  # at once: their descriptors stay in the cache
_PYRAMID = 4  # regions a side on the finest of the levels 1, 2 and 4 (Lazebnik 2006)
_CONTRAST = 10.0  # added to a patch's variance, levels 0..255 (Coates 2011, section 4.2)
_QUADRANTS = 2


def nearest_word(x_RP: Tensor, words_MP: Tensor) -> Tensor:
    """Position of the word nearest to each row, int64 [R]."""
    # The row's own length is the same for all words.
    scores_RM = torch.addmm(-0.5 * words_MP.square().sum(1), x_RP, words_MP.T)
    return scores_RM.argmax(1)


class VisualWords(nn.Module):
    """Bag of visual words with a spatial pyramid (Sivic 2003, Csurka 2004, Lazebnik 2006).

    Each dense SIFT descriptor becomes the nearest of M words, and words are counted in the whole image, in 2x2 and in
    4x4 regions. These levels are weighted 1/4, 1/4, 1/2 (Lazebnik 2006, equation 3), and the root of the shares is
    taken, so that a linear classifier compares histograms by Hellinger's kernel. D = `features_out` = 21 * M.

    Args:
        image_px: side of the images.
        words: M.
    """

    def __init__(self, image_px: int, words: int) -> None:
        super().__init__()
        self.cell_px, self.step_px = max(1, image_px * 3 // 32), max(1, image_px // 16)
        self.words_MP = nn.Parameter(torch.zeros(words, _SIFT_NUMBERS), requires_grad=False)
        self.features_out = words * sum(side**2 for side in (1, 2, _PYRAMID))

    def patches(self, x_NCHW: Tensor) -> Tensor:
        """SIFT of every patch, [N, L, 128]."""
        return self._describe(x_NCHW).flatten(1, 2)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Pixels in 0..1 to [N, D] in 0..1."""
        parts = torch.split(x_NCHW, _SIFT_IMAGES)
        return torch.cat([self._count(self._describe(part_NCHW)) for part_NCHW in parts])

    def _describe(self, x_NCHW: Tensor) -> Tensor:
        return dense_sift(to_levels(x_NCHW), self.cell_px, self.step_px)

    def _count(self, x_NHWP: Tensor) -> Tensor:
        N, rows, columns, P = x_NHWP.shape
        M = len(self.words_MP)
        word_NHW = nearest_word(x_NHWP.reshape(-1, P), self.words_MP).view(N, rows, columns)
        row, column = (torch.arange(n, device=x_NHWP.device) * _PYRAMID // n for n in (rows, columns))
        place_NL = ((row[:, None] * _PYRAMID + column) * M + word_NHW).flatten(1)
        counts = torch.zeros(N, _PYRAMID**2 * M, device=x_NHWP.device)
        counts.scatter_add_(1, place_NL, torch.ones((), device=x_NHWP.device).expand_as(place_NL))
        fine = counts.view(N, 2, 2, 2, 2, M)  # row and column, each as half and half of the half
        middle = fine.sum((2, 4))
        levels = (middle.sum((1, 2)) / 4, middle / 4, fine / 2)
        return (torch.cat([level.flatten(1) for level in levels], 1) / (rows * columns)).sqrt_()


class KMeansFeatures(nn.Module):
    """Whitened patches against k-means centroids (Coates, Lee and Ng 2011, section 4).

    Every patch of 6x6 pixels, a pixel apart at 32 px, is normalised for brightness and contrast, whitened (ZCA), and
    compared with M centroids by the "triangle": how much nearer a centroid is than the mean one, or 0. These are
    summed over each quadrant of the image. D = `features_out` = 4 * M.

    Args:
        in_channels: C.
        image_px: side of the images.
        words: M.
    """

    patch_px = 6  # the paper's best (its figure 6)

    def __init__(self, in_channels: int, image_px: int, words: int) -> None:
        super().__init__()
        P = in_channels * self.patch_px**2
        self.stride_px = max(1, image_px // 32)
        self.mean_P = nn.Parameter(torch.zeros(P), requires_grad=False)
        self.whiten_PP = nn.Parameter(torch.zeros(P, P), requires_grad=False)
        self.words_MP = nn.Parameter(torch.zeros(words, P), requires_grad=False)
        self.side = (image_px - self.patch_px) // self.stride_px + 1
        self.features_out = _QUADRANTS**2 * words

    def patches(self, x_NCHW: Tensor) -> Tensor:
        """All patches [N, L, P], not whitened, each of mean 0 and standard deviation 1 or, if it is flat, less."""
        patches_NPL = F.unfold(to_levels(x_NCHW), self.patch_px, stride=self.stride_px)
        patches_NLP = patches_NPL.transpose(1, 2)
        variance, mean = torch.var_mean(patches_NLP, dim=2, keepdim=True)
        return (patches_NLP - mean) * (variance + _CONTRAST).rsqrt()

    def whiten(self, patches: Tensor) -> Tensor:
        """Patches [..., P] whose numbers are uncorrelated over the images the whitening was made from."""
        return (patches - self.mean_P) @ self.whiten_PP

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Pixels in 0..1 to [N, D], 0 or more."""
        images = max(1, _CHUNK_FLOATS // (self.side**2 * len(self.words_MP)))
        return torch.cat([self._encode(part_NCHW) for part_NCHW in torch.split(x_NCHW, images)])

    def _encode(self, x_NCHW: Tensor) -> Tensor:
        z_NLP = self.whiten(self.patches(x_NCHW))
        N, L, P = z_NLP.shape
        z_RP = z_NLP.reshape(-1, P)
        distance_RM = torch.addmm(self.words_MP.square().sum(1), z_RP, self.words_MP.T, alpha=-2)
        distance_RM.add_(z_RP.square().sum(1, keepdim=True)).clamp_(min=0).sqrt_()
        near_RM = distance_RM.neg_().sub_(distance_RM.mean(1, keepdim=True)).clamp_(min=0)
        return torch.matmul(self._quadrants(near_RM), near_RM.view(N, L, -1)).flatten(1)

    def _quadrants(self, like: Tensor) -> Tensor:
        """[4, L], 1 where a place lies in a quadrant; the middle row and column belong to the first half."""
        half = (torch.arange(self.side, device=like.device) * 2 + 1 > self.side).long()
        quadrant_L = (half[:, None] * 2 + half).flatten()
        return F.one_hot(quadrant_L, _QUADRANTS**2).T.to(like.dtype)
