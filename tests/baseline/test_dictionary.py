"""Whitening, k-means and the drawing of patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet.baseline.dictionary import kmeans, learn_dictionary, sample_patches, zca_whitening
from alexnet.data import Images
from alexnet.errors import UserError
from alexnet.models.pipelines import KMeansFeatures, VisualWords


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def correlated(rows: int) -> torch.Tensor:
    return torch.randn(rows, 6, generator=seeded()) @ torch.randn(6, 6, generator=seeded(1)) * 20 + 3


def test_whitened_patches_have_the_identity_for_covariance():
    x_RP = correlated(5000)
    mean_P, whiten_PP = zca_whitening(x_RP)
    white_RP = (x_RP - mean_P) @ whiten_PP
    torch.testing.assert_close(white_RP.mean(0), torch.zeros(6), atol=1e-3, rtol=0)
    # The variances are in the hundreds, beside which the 0.1 that is added to them is little.
    torch.testing.assert_close(torch.cov(white_RP.T), torch.eye(6), atol=5e-2, rtol=0)
    torch.testing.assert_close(whiten_PP, whiten_PP.T)


def test_whitening_does_not_blow_up_what_hardly_varies():
    x_RP = torch.randn(20_000, 2, generator=seeded()) * torch.tensor([3.0, 0.1])
    variance_P = x_RP.var(0)
    white_RP = x_RP @ zca_whitening(x_RP)[1]
    torch.testing.assert_close(white_RP.var(0), variance_P / (variance_P + 0.1), atol=1e-2, rtol=0)


def test_kmeans_finds_clouds_that_lie_apart():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    cloud_R = torch.arange(3).repeat(200)
    x_RP = centres[cloud_R] + 0.1 * torch.randn(600, 2, generator=seeded())
    # From one row of each cloud Lloyd's method ends in their means.
    starts = {s: cloud_R[torch.randperm(600, generator=seeded(s))[:3]] for s in range(100)}
    fair = next(s for s, clouds in starts.items() if len(set(clouds.tolist())) == 3)
    found = kmeans(x_RP, 3, 10, seeded(fair))
    order = (found[:, 0] + 2 * found[:, 1]).argsort()
    torch.testing.assert_close(found[order], centres, atol=0.05, rtol=0)


def test_kmeans_is_scikit_learns_from_the_same_start():
    from sklearn.cluster import KMeans

    x_RP = torch.randn(500, 4, generator=seeded())
    start = x_RP[torch.randperm(500, generator=seeded(7))[:8]]
    theirs = KMeans(8, init=start.numpy(), n_init=1, max_iter=5, tol=0, algorithm="lloyd").fit(x_RP.numpy())
    np.testing.assert_allclose(kmeans(x_RP, 8, 5, seeded(7)).numpy(), theirs.cluster_centers_, atol=1e-4)


def test_a_centroid_without_rows_gets_a_new_one():
    x_RP = torch.cat([torch.zeros(50, 2), torch.ones(50, 2)])
    words_MP = kmeans(x_RP, 5, 3, seeded())  # two places for five centroids
    assert words_MP.isfinite().all()
    assert {tuple(word) for word in words_MP.tolist()} == {(0.0, 0.0), (1.0, 1.0)}


def test_too_few_patches_are_refused():
    with pytest.raises(UserError, match="10 patches cannot make 11 words: set --words lower"):
        kmeans(torch.zeros(10, 2), 11, 1, seeded())


def some_images(count: int) -> Images:
    x = torch.randint(0, 256, (count, 16, 16, 3), generator=seeded(), dtype=torch.uint8)
    return Images(x, torch.zeros(count, dtype=torch.int64))


def test_patches_come_from_all_images_and_from_different_places():
    features, images = KMeansFeatures(3, 16, 4), some_images(12)
    drawn_RP = sample_patches(features, images, 60, seeded())
    all_RP = features.patches(images.pixels_NHWC.permute(0, 3, 1, 2) / 255).flatten(0, 1)
    image_R = [int((all_RP - row).abs().sum(1).argmin()) // 121 for row in drawn_RP]
    place_R = [int((all_RP - row).abs().sum(1).argmin()) for row in drawn_RP]
    assert sorted(image_R) == sorted(list(range(12)) * 5)
    assert len(set(place_R)) == 60


@pytest.mark.parametrize("features", [VisualWords(16, 4), KMeansFeatures(3, 16, 4)])
def test_a_dictionary_is_filled_and_can_be_made_again(features):
    stages: list[str] = []
    with torch.no_grad():
        learn_dictionary(features, some_images(12), seeded(), lambda stage, done, total: stages.append(stage))
        first = {name: tensor.clone() for name, tensor in features.state_dict().items()}
        learn_dictionary(features, some_images(12), seeded(), lambda *_: None)
    assert "k-means" in stages
    assert all((tensor != 0).any() for tensor in first.values())
    assert all(torch.equal(tensor, first[name]) for name, tensor in features.state_dict().items())
