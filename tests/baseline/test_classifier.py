"""Nystroem's method, and how settings are chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from alexnet import baseline
from alexnet.baseline.classifier import fit_classifier, mean_squared_distance, nystroem
from alexnet.baseline.extract import Table
from alexnet.models.pipelines import rbf_kernel

K = 3


def clouds(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three clouds on rings, which no plane can part: class k lies k + 1 from the middle."""
    generator = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(count) % K
    x_ND = torch.randn(count, 4, generator=generator)
    x_ND = x_ND / x_ND.norm(dim=1, keepdim=True) * (labels_N + 1)[:, None]
    return x_ND + 0.1 * torch.randn(count, 4, generator=generator), labels_N


@pytest.fixture(scope="module")
def table() -> Table:
    (x, y), (v, w) = clouds(600, 0), clouds(150, 1)
    return Table(torch.cat([x, v]), torch.cat([y, w]), 600, K, from_cache=False)


def fitted(recipe: baseline.BaselineRecipe, table: Table) -> tuple[Any, list[tuple[dict[str, Any], float]]]:
    rows: list[tuple[dict[str, Any], float]] = []
    with torch.no_grad():
        found = fit_classifier(
            recipe,
            table,
            torch.Generator().manual_seed(0),
            lambda setting, top1: rows.append((setting, top1)),
            lambda *_: None,
        )
    return found, rows


def top1(layers: torch.nn.Module, x_ND: torch.Tensor, labels_N: torch.Tensor) -> float:
    return float((layers(x_ND).argmax(1) == labels_N).float().mean())


def test_nystroem_is_exact_where_all_images_are_landmarks():
    x_ND, _ = clouds(60, 0)
    z_NE = rbf_kernel(x_ND, x_ND, 0.5) @ nystroem(x_ND, 0.5)
    torch.testing.assert_close(z_NE @ z_NE.T, rbf_kernel(x_ND, x_ND, 0.5), atol=2e-3, rtol=0)


def test_nystroem_is_scikit_learns():
    from sklearn.kernel_approximation import Nystroem

    x_ND, _ = clouds(300, 0)
    theirs = Nystroem(gamma=0.5, n_components=20, random_state=0).fit(x_ND.numpy())
    landmarks_MD = torch.from_numpy(theirs.components_)
    z_NE = rbf_kernel(x_ND, landmarks_MD, 0.5) @ nystroem(landmarks_MD, 0.5)
    expected = theirs.transform(x_ND.numpy())  # rotated otherwise: only products are alike
    np.testing.assert_allclose((z_NE @ z_NE.T).numpy(), expected @ expected.T, atol=1e-3)


def test_mean_squared_distance_is_that_of_pairs():
    x_ND, _ = clouds(50, 0)
    assert mean_squared_distance(x_ND) == pytest.approx(float(torch.cdist(x_ND, x_ND).square().mean()), rel=1e-4)


@pytest.mark.slow
def test_a_kernel_parts_what_no_plane_can(table):
    recipe = replace(baseline.get("hog_rbf"), landmarks=100)
    kernel, rows = fitted(recipe, table)
    plane, _ = fitted(baseline.get("hog_linear"), table)
    x_ND, labels_N = clouds(300, 2)
    assert top1(kernel.layers, x_ND, labels_N) > 0.95
    assert top1(plane.layers, x_ND, labels_N) < 0.6
    assert kernel.options == {"landmarks": 100, "gamma": kernel.chosen["gamma"]}
    assert kernel.layers[0].landmarks_MD.shape == (100, 4)
    assert kernel.chosen in [setting for setting, _ in rows]


@pytest.mark.parametrize("loss", ["svm", "logistic"])
def test_the_best_c_is_taken_and_the_search_ends(table, loss):
    recipe = replace(baseline.get("hog_linear"), loss=loss)
    found, rows = fitted(recipe, table)
    assert found.chosen == max(rows, key=lambda row: row[1])[0]
    best = [setting for setting, _ in rows].index(found.chosen)
    assert len(rows) == best + 3 or rows[-1][0] == {"c": 1000.0}


def test_the_most_votes_on_held_out_images_decide(table):
    byte_table = replace(table, x_ND=((table.x_ND + 5) * 25).to(torch.uint8))
    found, rows = fitted(baseline.get("pixels_knn"), byte_table)
    votes = {setting["neighbors"]: share for setting, share in rows}
    x_ND, labels_N = byte_table.train
    layers = found.layers
    layers[0].kept_RD, layers[0].labels_R = x_ND, labels_N
    for layers[0].neighbors, share in votes.items():
        assert top1(layers, *byte_table.val) == pytest.approx(share)


def test_held_out_images_are_fitted_only_where_the_test_split_is_opened(table):
    byte_table = replace(table, x_ND=((table.x_ND + 5) * 25).to(torch.uint8))
    recipe = baseline.get("pixels_knn")
    assert fitted(recipe, byte_table)[0].options["kept"] == 750
    assert fitted(replace(recipe, open_test=False), byte_table)[0].options["kept"] == 600
    linear = baseline.get("hog_linear")
    opened, closed = fitted(linear, table)[0], fitted(replace(linear, open_test=False), table)[0]
    assert opened.chosen == closed.chosen
    assert not torch.equal(opened.layers[0].weight, closed.layers[0].weight)


@pytest.mark.slow
def test_scores_become_probabilities(table):
    found, _ = fitted(replace(baseline.get("hog_rbf"), landmarks=100), table)
    x_ND, labels_N = clouds(3000, 3)
    p_NK = found.layers(x_ND).detach().softmax(1)
    confidence, right = p_NK.amax(1).mean(), (p_NK.argmax(1) == labels_N).float().mean()
    assert float(confidence) == pytest.approx(float(right), abs=0.03)
