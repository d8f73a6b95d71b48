"""Arrays and PyTorch's data sets as sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import data
from alexnet.errors import UserError


class Samples(torch.utils.data.Dataset[Any]):
    """A map-style data set as users write them."""

    def __init__(self, samples: list[Any], classes: list[str] | None = None) -> None:
        self._samples = samples
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: int) -> Any:
        return self._samples[i]


def arrays(n: int = 40, px: int = 12, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, px, px, channels), dtype=np.uint8), np.arange(n) % 4


def test_arrays_are_split_by_class_and_left_as_they_were() -> None:
    pixels, labels = arrays()
    before = pixels.copy()
    loaded = data.load(data.from_arrays(pixels, labels, tuple("abcd")), val_fraction=0.25)
    assert loaded.class_names == ("a", "b", "c", "d")
    sizes = [len(loaded.train), len(loaded.split("val")), len(loaded.split("test"))]
    assert sizes == [24, 8, 8]
    for split in ("train", "val", "test"):
        assert torch.bincount(loaded.split(split).labels_N).tolist() == [len(loaded.split(split)) // 4] * 4
    rows = torch.cat([loaded.split(split).pixels_NHWC for split in ("train", "val", "test")])
    assert sorted(map(bytes, rows.flatten(1).numpy())) == sorted(map(bytes, before.reshape(40, -1)))
    assert np.array_equal(pixels, before)


def test_a_test_split_of_ones_own() -> None:
    pixels, labels = arrays()
    loaded = data.load(data.from_arrays(pixels[:30], labels[:30], tuple("abcd"), test=(pixels[30:], labels[30:])))
    assert torch.equal(loaded.split("test").pixels_NHWC, torch.from_numpy(pixels[30:]))
    assert len(loaded.train) + len(loaded.split("val")) == 30


def test_sizes_and_channels_are_those_requested() -> None:
    pixels, labels = arrays(px=100)
    source = data.from_arrays(torch.from_numpy(pixels), torch.from_numpy(labels), tuple("abcd"))
    assert data.load(source, default_px=32).image_px == 32  # too large to be taken as they are
    loaded = data.load(source, image_px=24, in_channels=1, val_fraction=0.0)
    assert loaded.train.pixels_NHWC.shape == (32, 24, 24, 1)
    grey = data.from_arrays(pixels[..., 0], labels, tuple("abcd"))
    assert data.load(grey, image_px=16).in_channels == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images_NHWC": np.zeros((8, 4, 4, 3))}, r"float64, but must be uint8 .*\(255 \* images\)"),
        ({"images_NHWC": np.zeros((8, 3, 4, 4), np.uint8)}, r"\[8, 3, 4, 4\], not \[N, H, W, C\].*transpose"),
        ({"images_NHWC": np.zeros((8, 4), np.uint8)}, r"not \[N, H, W, C\]"),
        ({"labels_N": np.zeros(7, int)}, "number 8, so labels must be 8 integers"),
        ({"labels_N": np.zeros(8)}, "8 integers, not float64"),
        ({"labels_N": np.full(8, 2)}, r"lie in 2\.\.2, but there are 2 class names \(0\.\.1\)"),
        ({"labels_N": np.full(8, -1)}, r"lie in -1\.\.-1"),
        ({"class_names": ["a", "a"]}, "a name twice"),
        ({"images_NHWC": np.zeros((0, 4, 4, 3), np.uint8), "labels_N": np.zeros(0, int)}, "are empty"),
        ({"test": (np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, int))}, "differ in channels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"images_NHWC": np.zeros((8, 4, 4, 3), np.uint8), "labels_N": np.arange(8) % 2, "class_names": ["a", "b"]}
    data.from_arrays(**good)
    with pytest.raises(UserError, match=message):
        data.from_arrays(**(good | change))


def test_one_image_a_class_leaves_none_to_test_with() -> None:
    with pytest.raises(UserError, match="one image a class"):
        data.from_arrays(np.zeros((2, 4, 4, 1), np.uint8), [0, 1], ["a", "b"])


def test_pictures_and_tensors_give_the_same_images() -> None:
    pixels, labels = arrays()
    pictures = Samples([(Image.fromarray(p), int(y)) for p, y in zip(pixels, labels, strict=True)], list("abcd"))
    tensors = Samples(
        [(torch.from_numpy(p).permute(2, 0, 1), torch.tensor(y)) for p, y in zip(pixels, labels, strict=True)]
    )
    ours = data.load(data.from_arrays(pixels, labels, tuple("abcd")))
    for theirs, names in ((pictures, tuple("abcd")), (tensors, "0123")):
        found = data.load(theirs)
        assert found.class_names == tuple(names)
        assert found.name == "Samples"
        for split in ("train", "val", "test"):
            assert torch.equal(found.split(split).pixels_NHWC, ours.split(split).pixels_NHWC)
            assert torch.equal(found.split(split).labels_N, ours.split(split).labels_N)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ((torch.zeros(3, 4, 4), 0), r"sample 1 of Samples is a torch.float32 tensor.*drop its transform"),
        ((torch.zeros(4, 4, 4, dtype=torch.uint8), 0), r"\[4, 4, 4\], not \[C, H, W\]"),
        ((torch.zeros(3, 4, 4, dtype=torch.uint8), torch.tensor(0.7)), "label of sample 1 .*not an integer"),
        ((torch.zeros(3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])), "label of sample 1 .*not an integer"),
        ((torch.zeros(3, 0, 4, dtype=torch.uint8), 0), "no pixels"),
        ((torch.zeros(3, 4, 4, dtype=torch.uint8), "cat"), "label of sample 1 of Samples is 'cat'"),
        ((torch.zeros(3, 4, 4, dtype=torch.uint8), 5), r"lie in 0\.\.5, but there are 2 class names"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "not a pair"),
    ],
)
def test_samples_that_do_not_fit_are_refused(sample: Any, message: str) -> None:
    good = (torch.zeros(3, 4, 4, dtype=torch.uint8), 0)
    with pytest.raises(UserError, match=message):
        data.load(Samples([good, sample], ["a", "b"]))


def test_a_data_set_is_taken_as_it_is() -> None:
    loaded = data.load("digits", image_px=16)
    assert data.load(loaded, default_px=224) is loaded
    with pytest.raises(UserError, match="images of 16 px, not 32"):
        data.load(loaded, image_px=32)
    with pytest.raises(UserError, match="1 channels, not 3"):
        data.load(loaded, in_channels=3)
    images, names = data.load_split(loaded, "test", image_px=16, in_channels=1)
    assert images is loaded.split("test")
    assert names == loaded.class_names


def test_names(tmp_path: Any) -> None:
    assert data.source_name("cifar10") == "cifar10"
    assert data.source_name(tmp_path) == str(tmp_path.resolve())
    assert data.source_name(data.from_arrays(*arrays(), tuple("abcd"), name="mine")) == "mine"
    assert data.source_name(Samples([])) == "Samples"


def test_a_cut_data_set_knows_both_of_its_sides() -> None:
    cut = replace(data.load("digits", image_px=16), crop_px=12)
    assert data.load(cut, image_px=12, resize_px=16) is cut
    for sides in ({"image_px": 10, "resize_px": 16}, {"image_px": 16}, {"resize_px": 20}):
        with pytest.raises(UserError, match="holds images of"):
            data.load(cut, **sides)
    assert data.load_split(cut, "test", image_px=16, in_channels=1)[0] is cut.split("test")


def test_later_changes_of_the_arrays_do_not_reach_the_source() -> None:
    pixels, labels = arrays()
    source = data.from_arrays(pixels[:30], labels[:30], tuple("abcd"), test=(pixels[30:], labels[30:]))
    expected = torch.from_numpy(pixels[30:].copy())
    pixels[:] = 0
    assert torch.equal(data.load(source).split("test").pixels_NHWC, expected)
    assert data.load(source).train.pixels_NHWC.any()


class Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(())


PIXELS, LABELS = np.zeros((10, 8, 8, 3), np.uint8), np.arange(10) % 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (42, "int is no data set: give a source's name"),
        (None, "NoneType is no data set"),
        (Stream(), "Stream can only be iterated: a map-style data set"),
        ((PIXELS, LABELS), r"alexnet.data.from_arrays\(images, labels, class_names\)"),
        (torch.utils.data.DataLoader(Samples([(PIXELS[0], 0)])), "give its data set, loader.dataset"),
    ],
)
def test_what_is_no_map_style_data_set_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        data.load(given)


def test_one_text_is_no_list_of_names() -> None:
    with pytest.raises(UserError, match="class_names is the text 'ab': give a list"):
        data.from_arrays(PIXELS, LABELS, "ab")


def test_arrays_cannot_be_streamed() -> None:
    with pytest.raises(UserError, match=r"^arrays is read as a whole"):
        data.load(data.from_arrays(PIXELS, LABELS, ["a", "b"]), stream="always")
