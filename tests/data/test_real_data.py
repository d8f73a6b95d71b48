"""The loaders on real images; see the fixture `test_data` for where they come from."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from alexnet import data


def test_cifar10_as_jpeg_files(cifar10_jpeg: Path) -> None:
    dataset = data.load("cifar10", root=cifar10_jpeg, val_fraction=0)
    assert dataset.class_names == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    assert dataset.train.pixels_NHWC.shape == (50_000, 32, 32, 3)
    assert dataset.open_test().pixels_NHWC.shape == (10_000, 32, 32, 3)
    assert dataset.train.labels_N.bincount().tolist() == [5_000] * 10
    # Measured by an independent implementation.
    mean, std = data.channel_statistics(dataset.train)
    np.testing.assert_allclose(mean, (0.49125, 0.48209, 0.44652), atol=5e-6)
    np.testing.assert_allclose(std, (0.24523, 0.24278, 0.26063), atol=5e-6)
    again = data.load("cifar10", root=cifar10_jpeg)
    assert again.val is not None
    assert again.val.labels_N.bincount().tolist() == [500] * 10
    assert len(again.train) == 45_000


def test_tiny_imagenet_keeps_its_64_px(test_data: Path, tmp_path: Path) -> None:
    with tarfile.open(test_data / "tiny-imagenet-20.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (train,) = tmp_path.glob("**/train")
    dataset = data.load(train.parent)
    assert dataset.image_px == 64
    assert len(dataset.class_names) == 20
    assert (len(dataset.train), len(dataset.open_test())) == (9_000, 1_000)


def test_photographs_of_all_sizes_decode(test_data: Path, tmp_path: Path) -> None:
    with tarfile.open(test_data / "imagenet-samples.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    files = sorted(path for path in tmp_path.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
    assert len(files) == 33
    for path in files:
        pixels = data.fit_image(data.decode_image(path, image_px=224), 224, 3)
        assert pixels.shape == (224, 224, 3)
        assert pixels.std() > 5, path


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="needs Debian's package dataset-fashion-mnist"
)
def test_fashion_mnist_from_debian(tmp_path: Path) -> None:
    dataset = data.load("fashion_mnist", root=tmp_path, val_fraction=0)
    assert dataset.train.pixels_NHWC.shape == (60_000, 28, 28, 1)
    assert dataset.open_test().labels_N.bincount().tolist() == [1_000] * 10
    mean, std = data.channel_statistics(dataset.train)
    assert mean == pytest.approx((0.2860,), abs=5e-5)  # the figures commonly quoted for this set
    assert std == pytest.approx((0.3530,), abs=5e-5)
