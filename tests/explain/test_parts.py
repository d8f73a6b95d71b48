"""Visualisation, neighbours, the map, dropout, filters and pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from alexnet.explain import Subject, nearest
from alexnet.explain.dropout import dropout_layers, with_masks
from alexnet.explain.filters import first_filters, tiles
from alexnet.explain.neighbours import in_cells, thumbnail_map, tsne
from alexnet.explain.pictures import heat, lit
from alexnet.explain.visualisation import image_of, visualise
from tests.explain.conftest import classifier_of


def test_an_image_made_for_a_colour_is_of_that_colour(colours):
    how = colours.classifier.card.preprocessing
    made = visualise(colours.model, colours.hidden[0], [0, 1, 2], how, torch.Generator().manual_seed(0), steps=60)
    assert made.pixels_NHWC.shape == (3, 8, 8, 3)
    for c in range(3):
        mean = made.pixels_NHWC[c].float().mean((0, 1))
        assert int(mean.argmax()) == c
        assert made.answer_N[c] > 0.3  # 0.5 is all there is


def test_one_wave_makes_a_cosine():
    waves = torch.zeros(1, 1, 8, 5, 2)
    waves[0, 0, 0, 1, 0] = 1.0  # one period along the columns, real: a cosine
    image = image_of(waves, 8)[0, 0]
    # irfft2 divides by 64 and counts the wave twice; amplitudes are scaled by side / frequency; a quarter at the end.
    expected = (2 / 64 * 8 / (1 / 8) / 4 * torch.cos(2 * torch.pi * torch.arange(8) / 8)).sigmoid()
    for row in image:
        torch.testing.assert_close(row, expected)


def test_the_search_is_exact():
    generator = torch.Generator().manual_seed(0)
    features, queries = torch.randn(500, 7, generator=generator), torch.randn(300, 7, generator=generator)
    found = nearest(queries, features, 5)
    distance = (queries[:, None] - features[None]).square().sum(2).sqrt()
    expected = distance.topk(5, largest=False)
    assert torch.equal(found.index_QT, expected.indices)
    torch.testing.assert_close(found.distance_QT, expected.values)
    assert found.n == 500
    assert nearest(queries[:2], features[:3], 9).index_QT.shape == (2, 3)


def test_the_map_keeps_groups_together():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 20, generator=generator)
    features[30:] += 30
    places = tsne(features)
    assert places.shape == (60, 2)
    centres = places[:30].mean(0), places[30:].mean(0)
    own = np.linalg.norm(places[:30] - centres[0], axis=1)
    other = np.linalg.norm(places[:30] - centres[1], axis=1)
    assert (own < other).all()


def test_every_image_has_a_cell_of_its_own():
    places = np.array([[0, 0], [0, 0], [0, 0], [1, 1]], dtype=np.float32)
    cells = in_cells(places, 10)
    assert cells[0].tolist() == [0, 0]
    assert cells[3].tolist() == [9, 9]
    assert len({tuple(cell) for cell in cells.tolist()}) == 4
    assert (cells >= 0).all()
    crowded = in_cells(np.zeros((40, 2), dtype=np.float32), 10)  # 16 cells lie within three of a corner
    assert (crowded[:, 0] >= 0).sum() == 16
    pixels = np.full((4, 4, 4, 1), 7, dtype=np.uint8)
    drawn = thumbnail_map(places, pixels, 10, 6)
    assert drawn.shape == (60, 60, 4)
    assert (drawn[..., 3] == 255).sum() == 4 * 25
    assert drawn[0, 0].tolist() == [7, 7, 7, 255]


def test_dropout_of_one_unit_by_hand():
    """Scores are (d, 0) with d = 0 or 2: half of the passes give 1 / 2, the others softmax of 2."""
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(1, 2, bias=False))
    net[2].weight.data = torch.tensor([[1.0], [0.0]])
    subject = Subject(classifier_of(net, 1, ("a", "b"), channels=1))
    state = torch.get_rng_state()
    p, off = with_masks(subject, torch.full((1, 1, 1), 255, dtype=torch.uint8), 400)
    assert torch.equal(torch.get_rng_state(), state)
    kept = torch.tensor([2.0, 0.0]).softmax(0)[0]
    assert {round(v, 5) for v in p[:, 0].tolist()} == {0.5, round(float(kept), 5)}
    assert 0.4 < float((p[:, 0] > 0.6).float().mean()) < 0.6
    assert off[0].item() == pytest.approx(float(torch.tensor([1.0, 0.0]).softmax(0)[0]))
    assert dropout_layers(subject.model) == {"1": 0.5}
    assert not subject.model.training
    assert not net[1].training


def test_the_paper_s_filters_are_in_two_towers(make):
    filters = first_filters(make("alexnet_2012"))
    assert filters is not None
    assert filters.weights_OCHW.shape == (96, 3, 11, 11)
    assert filters.towers == 2
    filters.weights_OCHW[:48] = filters.weights_OCHW[:48].mean(1, keepdims=True)
    grey, colored = filters.color_shares()
    assert grey == pytest.approx(0, abs=1e-6)
    assert colored > 0.5


def test_filters_are_scaled_by_their_largest_weight():
    weights = np.zeros((1, 1, 2, 2))
    weights[0, 0] = [[0.5, -0.5], [0, 0.25]]
    assert tiles(weights)[0][..., 0].tolist() == [[255, 0], [128, 191]]


def test_heat_is_blue_for_and_orange_against():
    drawn = heat(np.full((2, 2, 3), 128, dtype=np.uint8), np.array([[1.0, -1.0], [0.0, 0.0]])).astype(int)
    assert drawn[0, 0, 2] > drawn[0, 0, 0] + 50
    assert drawn[0, 1, 0] > drawn[0, 1, 2] + 50
    assert drawn[1, 0].tolist() == [184, 184, 184]
    assert heat(np.zeros((2, 2, 1), dtype=np.uint8), np.zeros((2, 2))).shape == (2, 2, 3)


def test_a_map_is_light_where_it_answers():
    drawn = lit(np.array([[0.0, 1.0], [0.5, np.nan]]))
    assert drawn[0, 1].tolist() == [255, 255, 255]
    assert drawn[0, 0].tolist() == [13, 17, 23] == drawn[1, 1].tolist()
    assert lit(np.ones((2, 2))).max() < 30
