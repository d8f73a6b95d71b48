"""Views by marked pixels."""

from __future__ import annotations

import pytest
import torch

from alexnet.errors import UserError
from alexnet.evaluation.views import averaged, check_views, image_views


def marked(image_px: int, *places: tuple[int, int]) -> torch.Tensor:
    """Two black images with one bright pixel at each place, brighter by one from place to place."""
    x_NHWC = torch.zeros(2, image_px, image_px, 3, dtype=torch.uint8)
    for brightness, (row, column) in enumerate(places, start=1):
        x_NHWC[:, row, column] = brightness
    return x_NHWC


def bright(view_NHWC: torch.Tensor) -> dict[int, tuple[int, int]]:
    """Where each brightness is in the first image."""
    HW = view_NHWC[0, :, :, 0]
    return {int(HW[row, column]): (row, column) for row, column in HW.nonzero().tolist()}


def test_one_view_is_the_image():
    x_NHWC = marked(32, (3, 5))
    (only,) = image_views(x_NHWC, 1)
    assert torch.equal(only, x_NHWC)


def test_two_views_are_the_image_and_its_mirror():
    x_NHWC = marked(32, (3, 5), (30, 0))
    first, second = image_views(x_NHWC, 2)
    assert torch.equal(first, x_NHWC)
    assert bright(second) == {1: (3, 26), 2: (30, 31)}


def test_ten_views_at_32_px():
    # The border is 32 / 8 = 4 px, so a corner's view shows the image 4 px further in.
    views = list(image_views(marked(32, (10, 20)), 10))
    assert [bright(view)[1] for view in views] == [
        (10, 20),
        (14, 24),  # top left
        (14, 16),  # top right
        (6, 24),
        (6, 16),
        (10, 11),  # mirrored: column 31 - 20, and so on
        (14, 7),
        (14, 15),
        (6, 7),
        (6, 15),
    ]


def test_larger_images_give_true_corners_and_centre():
    # 9 px for a network of 5: corners begin at 0 and 4, the centre at 2, and nothing is padded.
    views = list(image_views(marked(9, (4, 4)), 10, image_px=5))
    assert all(view.shape == (2, 5, 5, 3) for view in views)
    places = [(2, 2), (4, 4), (4, 0), (0, 4), (0, 0)]
    assert [bright(view)[1] for view in views] == places + [(row, 4 - column) for row, column in places]
    (only,) = image_views(marked(9, (2, 6)), 1, image_px=5)
    assert bright(only) == {1: (0, 4)}


def test_corners_lose_the_far_edges_and_show_black():
    # 16 px: a border of 2. What stands within 2 px of the far edges falls out.
    views = list(image_views(marked(16, (0, 0), (0, 15), (15, 0), (15, 15)), 10))
    assert [bright(view) for view in views[:5]] == [
        {1: (0, 0), 2: (0, 15), 3: (15, 0), 4: (15, 15)},
        {1: (2, 2)},
        {2: (2, 13)},
        {3: (13, 2)},
        {4: (13, 13)},
    ]


@pytest.mark.parametrize(("image_px", "border"), [(4, 1), (15, 1), (28, 3), (224, 28)])
def test_border_is_an_eighth_of_the_side(image_px, border):
    _, top_left, *_ = image_views(marked(image_px, (0, 0)), 10)
    assert bright(top_left) == {1: (border, border)}


@pytest.mark.parametrize(("views", "number"), [(1, 1), (2, 2), (5, 5), (10, 10), ("dense", 18)])
def test_views_keep_shape_and_type(views, number):
    x_NHWC = torch.randint(256, (3, 8, 8, 3), dtype=torch.uint8)
    before = x_NHWC.clone()
    made = list(image_views(x_NHWC, views))
    assert len(made) == number
    for view in made:
        assert view.shape == x_NHWC.shape
        assert view.dtype == torch.uint8
    assert torch.equal(x_NHWC, before)


def test_the_second_half_mirrors_the_first():
    made = list(image_views(torch.randint(256, (3, 8, 8, 3), dtype=torch.uint8), 10))
    for view, mirrored in zip(made[:5], made[5:], strict=True):
        assert torch.equal(mirrored, view.flip(2))


def test_five_views_are_the_first_half_of_ten():
    x_NHWC = torch.randint(256, (3, 9, 9, 3), dtype=torch.uint8)
    five, ten = (list(image_views(x_NHWC, views, image_px=6)) for views in (5, 10))
    assert all(torch.equal(a, b) for a, b in zip(five, ten[:5], strict=True))


def test_dense_views_are_a_grid_from_corner_to_corner_and_its_mirror():
    # 256 px for a network of 224: crops begin 8 px apart.
    views = list(image_views(marked(256, (100, 120)), "dense", image_px=224))
    assert len(views) == 50
    places = [(top, left) for top in (0, 8, 16, 24, 32) for left in (0, 8, 16, 24, 32)]
    assert [bright(view)[1] for view in views[:25]] == [(100 - top, 120 - left) for top, left in places]
    assert all(torch.equal(b, a.flip(2)) for a, b in zip(views[:25], views[25:], strict=True))


def test_dense_views_do_not_repeat_themselves():
    # 9 px for a network of 7: crops can begin at 0, 1 and 2 only.
    assert len(list(image_views(marked(9, (4, 4)), "dense", image_px=7))) == 2 * 3 * 3


def test_dense_views_hold_the_other_ten():
    x_NHWC = torch.randint(256, (1, 13, 13, 1), dtype=torch.uint8)
    ten, dense = (list(image_views(x_NHWC, views, image_px=7)) for views in (10, "dense"))
    assert all(any(torch.equal(view, other) for other in dense) for view in ten)


def test_a_border_may_be_chosen_and_reflect():
    x_1331 = torch.arange(1, 10, dtype=torch.uint8).view(1, 3, 3, 1)
    _, black, *_ = image_views(x_1331, 5, border_px=1)
    assert black.squeeze().tolist() == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]
    _, reflected, *_ = image_views(x_1331, 5, border_px=1, border="reflect")
    assert reflected.squeeze().tolist() == [[5, 4, 5], [2, 1, 2], [5, 4, 5]]


def test_views_are_made_one_at_a_time():
    views = image_views(torch.zeros(2, 9, 9, 3, dtype=torch.uint8), "dense", image_px=5)
    assert next(views).shape == (2, 5, 5, 3)  # a generator: no list of fifty


def test_the_mean_of_probabilities():
    p = [torch.tensor([[0.2, 0.8]]), torch.tensor([[0.6, 0.4]]), torch.tensor([[1.0, 0.0]])]
    got = averaged(one.log() for one in p).exp()
    assert got.tolist()[0] == pytest.approx([0.6, 0.4])  # (0.2 + 0.6 + 1) / 3
    assert torch.equal(averaged([p[0]]), p[0])


@pytest.mark.parametrize("views", [0, 3, 4, -1, 11, 50, "all"])
def test_other_numbers_of_views_are_refused(views):
    with pytest.raises(UserError, match=rf"views must be 1, 2 .*, 5 .*, 10 .* or dense .*, not {views}"):
        check_views(views)
    with pytest.raises(UserError, match="views must be"):
        image_views(marked(8), views)
