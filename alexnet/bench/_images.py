"""The images to measure on."""

from __future__ import annotations

import torch

from alexnet.bench.tasks import Setting
from alexnet.config import Preprocessing
from alexnet.data import Dataset, Images, channel_statistics, load

_CIFAR10 = {"train": 50_000, "test": 10_000}


def dataset(setting: Setting) -> Dataset:
    """The images of `setting`, or as many random ones as CIFAR-10 has."""
    if setting.data is not None:
        return load(setting.data, root=setting.root, image_px=32, val_fraction=0.0, stream="never")
    return random_dataset(32, num_classes=10, n_train=_CIFAR10["train"], n_test=_CIFAR10["test"])


def random_dataset(image_px: int, *, num_classes: int, n_train: int, n_test: int) -> Dataset:
    """RGB noise with labels by chance: speed does not depend on what is in the images."""
    generator = torch.Generator().manual_seed(0)

    def images(n: int) -> Images:
        pixels_NHWC = torch.randint(256, (n, image_px, image_px, 3), dtype=torch.uint8, generator=generator)
        return Images(pixels_NHWC, torch.randint(num_classes, (n,), generator=generator))

    test = images(n_test)
    names = tuple(map(str, range(num_classes)))
    return Dataset("random", names, images(n_train), None, lambda: test, {"source": "random"})


def in_memory(images: object) -> Images:
    """`images`, which are: of 32 px, or random."""
    assert isinstance(images, Images)
    return images


def preprocessing_of(images: Images) -> Preprocessing:
    """Scaling by the channel statistics of `images`, as training does it."""
    mean, std = channel_statistics(images)
    px, channels = images.pixels_NHWC.shape[2:]
    return Preprocessing(image_px=px, in_channels=channels, mean=mean, std=std)
