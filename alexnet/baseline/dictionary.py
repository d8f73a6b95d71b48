"""Dictionaries learned from patches: whitening and k-means.

Shapes: R patches, P numbers a patch, M words, N images, L places in an image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from alexnet.data import AnyImages
from alexnet.errors import UserError
from alexnet.models.pipelines import KMeansFeatures, VisualWords, nearest_word

PATCHES = 200_000
"""Patches that dictionaries are learned from; Coates 2011 draws 400,000."""
ROUNDS = 20
"""Of k-means: by then centroids hardly move; Coates 2011 does 50."""
_MOST_IMAGES = 20_000
_IMAGES_AT_ONCE = 256
_ROWS = 8192
_ZCA_EPS = 0.1  # added to the variances (Coates 2011, section 4.2)

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the number of steps done and their total."""


def learn_dictionary(
    features: VisualWords | KMeansFeatures, images: AnyImages, generator: torch.Generator, on_progress: OnProgress
) -> None:
    """Fill the dictionary of `features`, and its whitening, from patches drawn out of `images`.

    Raises:
        UserError: there are fewer patches than words.
    """
    device = features.words_MP.device
    patches_RP = sample_patches(features, images, PATCHES, generator)
    if isinstance(features, KMeansFeatures):
        mean_P, whiten_PP = zca_whitening(patches_RP)
        features.mean_P.copy_(mean_P)
        features.whiten_PP.copy_(whiten_PP)
        patches_RP = features.whiten(patches_RP)
    words_MP = kmeans(
        patches_RP, len(features.words_MP), ROUNDS, generator, lambda done: on_progress("k-means", done, ROUNDS)
    )
    features.words_MP.copy_(words_MP.to(device))


def sample_patches(
    features: VisualWords | KMeansFeatures, images: AnyImages, count: int, generator: torch.Generator
) -> Tensor:
    """About `count` patches [R, P], or all there are: as many of each of up to 20,000 images, places at random."""
    chosen_N = torch.randperm(len(images), generator=generator)[:_MOST_IMAGES]
    drawn = []
    for pixels_NHWC in images.take(chosen_N).parts(_IMAGES_AT_ONCE):
        x_NCHW = pixels_NHWC.to(features.words_MP.device).permute(0, 3, 1, 2).float() / 255
        patches_NLP = features.patches(x_NCHW)
        N, L, P = patches_NLP.shape
        each = min(-(-count // len(chosen_N)), L)
        place_NS = torch.rand(N, L, generator=generator).topk(each).indices.to(patches_NLP.device)
        drawn.append(patches_NLP.gather(1, place_NS[:, :, None].expand(-1, -1, P)).flatten(0, 1))
    return torch.cat(drawn)


def zca_whitening(patches_RP: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [P] and matrix [P, P] that make patches uncorrelated and of variance near 1 (Bell and Sejnowski 1997).

    Where `V diag(d) V'` is the patches' covariance, that of `(patches - mean) @ matrix` is
    `V diag(d / (d + 0.1)) V'`: directions that hardly vary are not blown up. The matrix is symmetric, so whitened
    patches still look like patches.
    """
    x = patches_RP.double()
    mean_P = x.mean(0)
    variance_P, axes_PP = torch.linalg.eigh(torch.cov(x.T))
    whiten_PP = (axes_PP * (variance_P.clamp(min=0) + _ZCA_EPS).rsqrt()) @ axes_PP.T
    return mean_P.float(), whiten_PP.float()


def kmeans(
    x_RP: Tensor,
    words: int,
    rounds: int,
    generator: torch.Generator,
    on_round: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Centroids [M, P] by Lloyd's method, from random rows; a centroid that is nearest to no row gets a new one.

    Args:
        x_RP: rows to cluster, fp32.
        words: M.
        rounds: the most times all centroids move; fewer when none does any more.
        generator: decides the first centroids.
        on_round: called with the number of rounds done.

    Raises:
        UserError: there are fewer rows than words.
    """
    if len(x_RP) < words:
        raise UserError(f"{len(x_RP):,} patches cannot make {words:,} words: set --words lower, or add images")
    words_MP = x_RP[torch.randperm(len(x_RP), generator=generator)[:words].to(x_RP.device)]
    for done in range(1, rounds + 1):
        sums_MP, counts_M = torch.zeros_like(words_MP), x_RP.new_zeros(words)
        for part in torch.split(x_RP, _ROWS):
            word_R = nearest_word(part, words_MP)
            sums_MP.index_add_(0, word_R, part)
            counts_M.index_add_(0, word_R, torch.ones_like(part[:, 0]))
        fresh = torch.randint(len(x_RP), (words,), generator=generator).to(x_RP.device)
        moved_MP = torch.where(counts_M[:, None] > 0, sums_MP / counts_M.clamp(min=1)[:, None], x_RP[fresh])
        still = torch.equal(moved_MP, words_MP)
        words_MP = moved_MP
        on_round(done)
        if still:
            break
    return words_MP
