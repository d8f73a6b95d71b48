from __future__ import annotations

import hashlib
import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from alexnet.data.dataset import Dataset, Images
from alexnet.data.split import drawn, hashed_test, held_out, stratified, with_train_images
from alexnet.errors import UserError


def numbered(labels: list[int]) -> Images:
    """Images of one pixel whose value is their position."""
    count = len(labels)
    pixels = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return Images(pixels, torch.tensor(labels), tuple(f"{i}.png" for i in range(count)))


def test_each_class_gives_its_share() -> None:
    labels = torch.tensor([0] * 40 + [1] * 10 + [2] * 3 + [3] * 1)
    chosen = labels[stratified(labels, 0.1, seed=0)]
    assert torch.bincount(chosen, minlength=4).tolist() == [4, 1, 1, 0]


def test_a_class_keeps_an_image() -> None:
    labels = torch.tensor([0] * 5 + [1] * 2)
    chosen = labels[stratified(labels, 0.99, seed=0)]
    assert torch.bincount(chosen, minlength=2).tolist() == [4, 1]


def test_the_draw_is_the_same_for_ever() -> None:
    labels = torch.tensor([0, 1] * 10)
    golden = [3, 4, 7, 8, 11, 16]
    assert stratified(labels, 0.3, seed=0).tolist() == golden
    assert stratified(labels, 0.3, seed=1).tolist() != golden


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0.01, 0.9), st.integers(0, 9))
def test_cutting_in_place_equals_indexing(labels: list[int], fraction: float, seed: int) -> None:
    images = numbered(labels)
    val_N = stratified(images.labels_N, fraction, seed)
    kept_N = torch.tensor([i for i in range(len(labels)) if i not in set(val_N.tolist())], dtype=torch.int64)
    expected = images.take(kept_N)
    train, val = held_out(images, fraction, seed)
    assert val is not None
    assert train.pixels_NHWC.flatten().tolist() == expected.pixels_NHWC.flatten().tolist()
    assert train.labels_N.tolist() == expected.labels_N.tolist()
    assert train.files == expected.files
    assert val.pixels_NHWC.flatten().tolist() == val_N.tolist()
    assert val.files == tuple(f"{i}.png" for i in val_N.tolist())


def test_without_a_fraction_nothing_is_moved() -> None:
    images = numbered([0, 1, 0, 1])
    train, val = held_out(images, 0, seed=0)
    assert val is None
    assert train is images


def test_membership_is_the_hash_of_the_path() -> None:
    # `printf a/8.png | sha256sum` begins with 31, below a fifth of 100 (hexadecimal 33); those of the others are
    # 42 (a/2.png), 86 (a/1.png) and b6 (a/3.png).
    assert hashed_test(["a/1.png", "a/2.png", "a/3.png", "a/8.png"], [0] * 4) == [False, False, False, True]
    # Without it, the nearest to the bound steps in; and a class that is all test keeps the farthest for training.
    assert hashed_test(["a/1.png", "a/2.png", "a/3.png"], [0] * 3) == [False, True, False]
    assert hashed_test(["a/8.png"], [0]) == [False]


@given(st.sets(st.integers(0, 10_000), min_size=2, max_size=120), st.sets(st.integers(0, 10_000), max_size=50))
def test_adding_files_moves_none(before: set[int], added: set[int]) -> None:
    def split(numbers: set[int]) -> dict[str, bool]:
        paths = [f"cat/{number}.png" for number in sorted(numbers)]
        return dict(zip(paths, hashed_test(paths, [0] * len(paths)), strict=True))

    by_hash = [int(hashlib.sha256(f"cat/{number}.png".encode()).hexdigest(), 16) / 2**256 < 0.2 for number in before]
    assume(any(by_hash) and not all(by_hash))  # else one file steps in until others come
    first, second = split(before), split(before | added)
    assert all(second[path] == is_test for path, is_test in first.items())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 999)), unique=True, min_size=1, max_size=30))
def test_every_class_of_two_has_both(files: list[tuple[int, int]]) -> None:
    is_test = hashed_test([f"{label}/{number}.png" for label, number in files], [label for label, _ in files])
    for wanted in range(4):
        members = [test for test, (label, _) in zip(is_test, files, strict=True) if label == wanted]
        if len(members) == 1:
            assert members == [False]
        elif members:
            assert 0 < sum(members) < len(members)


def test_the_share_is_a_fifth() -> None:
    is_test = hashed_test([f"a/{i}.jpg" for i in range(10_000)], [0] * 10_000)
    assert abs(sum(is_test) / 10_000 - 0.2) < 0.012  # three standard errors


def test_a_part_holds_the_classes_in_their_shares() -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    assert torch.bincount(labels[drawn(labels, 10, seed=0)]).tolist() == [6, 3, 1]
    assert torch.bincount(labels[drawn(labels, 50, seed=0)]).tolist() == [30, 15, 5]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 9))
def test_a_smaller_part_lies_in_a_larger_one(labels: list[int], seed: int) -> None:
    labels_N = torch.tensor(labels)
    parts = [set(drawn(labels_N, n, seed).tolist()) for n in range(1, len(labels) + 1)]
    assert [len(part) for part in parts] == list(range(1, len(labels) + 1))
    assert all(smaller < larger for smaller, larger in itertools.pairwise(parts))


def test_another_seed_draws_other_images() -> None:
    labels = torch.arange(200) % 10
    assert drawn(labels, 50, seed=0).tolist() == drawn(labels, 50, seed=0).tolist()
    assert drawn(labels, 50, seed=0).tolist() != drawn(labels, 50, seed=1).tolist()


def test_only_training_images_are_fewer() -> None:
    images = numbered([0, 1] * 10)
    data = Dataset("numbers", ("even", "odd"), images, images, lambda: images, {})
    some = with_train_images(data, 4, seed=3)
    assert some.train.pixels_NHWC.flatten().tolist() == drawn(images.labels_N, 4, seed=3).tolist()
    assert some.val is images
    assert with_train_images(data, None, seed=3) is data
    with pytest.raises(UserError, match="train_images asks for 21 images, but numbers has 20 to train on"):
        with_train_images(data, 21, seed=3)
