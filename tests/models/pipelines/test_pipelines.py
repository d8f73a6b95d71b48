"""Colour histograms, dictionaries and classifiers, against definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet.baseline import names
from alexnet.errors import UserError
from alexnet.models import pipelines
from alexnet.models.pipelines import ColorHistogram, KMeansFeatures, NearestNeighbors, RbfKernel, VisualWords


def pixels(count: int, channels: int = 3, px: int = 32, seed: int = 0) -> torch.Tensor:
    """Pixels in 0..1, of whole levels, a little blurred."""
    x = torch.rand(count, channels, px, px, generator=torch.Generator().manual_seed(seed)) * 255
    x = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    return x.round() / 255


def test_one_color_fills_one_bin_of_each_region():
    x = torch.zeros(1, 3, 32, 32)
    x[:, 0], x[:, 1], x[:, 2] = 1.0, 64 / 255, 63 / 255  # bins 3, 1, 0
    histogram = ColorHistogram(3, 32)(x).view(16, 4, 4, 4)
    assert histogram.sum() == 16
    assert (histogram[:, 3, 1, 0] == 1).all()


def test_two_colors_share_a_region():
    x = torch.zeros(1, 1, 16, 16)
    x[..., :3, :4] = 1.0  # three quarters of the first region of 4x4 px
    histogram = ColorHistogram(1, 16)(x).view(16, 4)
    torch.testing.assert_close(histogram[0], torch.tensor([0.25, 0, 0, 0.75]).sqrt())
    torch.testing.assert_close(histogram[1], torch.tensor([1.0, 0, 0, 0]))


def test_nearest_word_is_the_nearest():
    generator = torch.Generator().manual_seed(0)
    x, words = torch.randn(50, 7, generator=generator), torch.randn(9, 7, generator=generator)
    assert torch.equal(pipelines.nearest_word(x, words), torch.cdist(x, words).argmin(1))


def test_visual_words_count_what_lies_where():
    layer = VisualWords(32, words=5)
    layer.words_MP.data = torch.rand(5, 128, generator=torch.Generator().manual_seed(0)) * 0.1
    x = pixels(3)
    word_NHW = pipelines.nearest_word(layer.patches(x).flatten(0, 1), layer.words_MP).view(3, 11, 11)
    whole, halves, quarters = (layer(x).square() * 121).split([5, 20, 80], dim=1)
    for word in range(5):
        there = (word_NHW == word).float()
        torch.testing.assert_close(whole[:, word] * 4, there.sum((1, 2)))
        # Rows 0..5 lie in the upper half: 4 * i // 11 is 0 or 1.
        torch.testing.assert_close(halves.view(3, 2, 2, 5)[:, 0, 1, word] * 4, there[:, :6, 6:].sum((1, 2)))
        torch.testing.assert_close(quarters.view(3, 4, 4, 5)[:, 2, 3, word] * 2, there[:, 6:9, 9:].sum((1, 2)))
    torch.testing.assert_close(layer(x).square().sum(1), torch.ones(3))  # of length 1, as Hellinger's kernel wants
    assert layer.features_out == layer(x).shape[1] == 105


def kmeans_layer(channels: int, px: int, words: int) -> KMeansFeatures:
    generator = torch.Generator().manual_seed(1)
    layer = KMeansFeatures(channels, px, words)
    P = channels * 36
    layer.mean_P.data = torch.randn(P, generator=generator)
    layer.whiten_PP.data = torch.randn(P, P, generator=generator) / 10
    layer.words_MP.data = torch.randn(words, P, generator=generator)
    return layer


def coates(layer: KMeansFeatures, x_CHW: np.ndarray) -> np.ndarray:
    """Features of one image, patch by patch, as the paper's section 4 says; fp64."""
    mean, whiten, words = (t.detach().double().numpy() for t in (layer.mean_P, layer.whiten_PP, layer.words_MP))
    starts = range(0, x_CHW.shape[1] - 5, layer.stride_px)
    sums = np.zeros((2, 2, len(words)))
    for i, y in enumerate(starts):
        for j, x in enumerate(starts):
            patch = x_CHW[:, y : y + 6, x : x + 6].ravel().astype(float)
            patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 10)
            z = np.linalg.norm((patch - mean) @ whiten - words, axis=1)
            half = (len(starts) + 1) // 2
            sums[int(i >= half), int(j >= half)] += np.maximum(0, z.mean() - z)
    return sums.ravel()


@pytest.mark.parametrize(("channels", "px"), [(3, 16), (1, 17), (3, 64)])
def test_kmeans_features_are_those_of_the_paper(channels, px):
    layer = kmeans_layer(channels, px, words=7)
    x = pixels(2, channels, px)
    found = layer(x).detach().numpy()
    assert found.shape == (2, layer.features_out) == (2, 28)
    expected = np.stack([coates(layer, (image * 255).round().numpy()) for image in x])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_kmeans_features_do_not_depend_on_the_chunk(monkeypatch):
    layer = kmeans_layer(3, 16, words=7)
    whole = layer(pixels(5, px=16))
    monkeypatch.setattr("alexnet.models.pipelines.words._CHUNK_FLOATS", 2000)
    torch.testing.assert_close(layer(pixels(5, px=16)), whole)


def test_neighbors_vote_as_scikit_learns(monkeypatch):
    from sklearn.neighbors import KNeighborsClassifier

    monkeypatch.setattr("alexnet.models.pipelines.classifiers._CHUNK_FLOATS", 40 * 64)  # several chunks
    rng = np.random.default_rng(0)
    kept, asked = rng.integers(0, 256, (150, 40), dtype=np.uint8), rng.integers(0, 256, (64, 40), dtype=np.uint8)
    labels = rng.integers(0, 4, 150)
    layer = NearestNeighbors(150, 40, num_classes=4, neighbors=7)
    layer.kept_RD, layer.labels_R = torch.from_numpy(kept), torch.from_numpy(labels)
    p_NK = layer(torch.from_numpy(asked)).exp().numpy()
    theirs = KNeighborsClassifier(7).fit(kept.astype(float), labels)
    np.testing.assert_allclose(p_NK, (7 * theirs.predict_proba(asked.astype(float)) + 0.25) / 8, rtol=1e-5)
    assert (p_NK.argmax(1) == theirs.predict(asked.astype(float))).all()


def test_rbf_kernel_is_scikit_learns():
    from sklearn.metrics.pairwise import rbf_kernel

    rng = np.random.default_rng(0)
    x, landmarks = rng.normal(size=(6, 5)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    layer = RbfKernel(4, 5, gamma=0.3)
    layer.landmarks_MD.data = torch.from_numpy(landmarks)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).detach().numpy(), rbf_kernel(x, landmarks, 0.3), rtol=1e-5)


def test_pipelines_and_recipes_have_the_same_names():
    assert names() == pipelines.NAMES


OPTIONS = {
    "pixels_knn": {"kept": 9, "neighbors": 3},
    "hog_rbf": {"landmarks": 6, "gamma": 0.5},
    "visual_words": {"words": 5},
    "kmeans_features": {"words": 5},
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("px", [16, 32, 50])
@pytest.mark.parametrize("name", pipelines.NAMES)
def test_every_pipeline_gives_a_score_a_class(name, px, channels):
    pipeline = pipelines.create(name, num_classes=4, in_channels=channels, image_px=px, **OPTIONS.get(name, {}))
    scores_NK = pipeline(pixels(3, channels, px))
    assert scores_NK.shape == (3, 4)
    assert scores_NK.dtype == torch.float32
    assert scores_NK.isfinite().all()


def test_pipelines_compute_in_fp32_whatever_is_asked_for():
    pipeline = pipelines.create("hog_rbf", num_classes=4, in_channels=3, image_px=32, **OPTIONS["hog_rbf"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pipeline(pixels(2)).dtype == torch.float32


@pytest.mark.parametrize("name", pipelines.NAMES)
def test_small_images_are_refused(name):
    with pytest.raises(UserError, match="at least 16 px, not 15: set --image-px"):
        pipelines.create(name, num_classes=2, in_channels=3, image_px=15, **OPTIONS.get(name, {}))


def test_unknown_names_and_missing_numbers():
    with pytest.raises(UserError, match="unknown baseline 'hog': choose one of pixels_knn"):
        pipelines.extractor("hog", 3, 32)
    with pytest.raises(TypeError, match="missing"):
        pipelines.create("hog_rbf", num_classes=2, in_channels=3, image_px=32)
