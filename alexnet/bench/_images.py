"""The images to measure on."""

from __future__ import annotations

import io
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from alexnet import models
from alexnet.bench.tasks import Setting
from alexnet.card import Preprocessing
from alexnet.config import ModelName
from alexnet.data import Dataset, Images, load

_PHOTOS = 32
_PHOTO_HW = (375, 500)
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


def write_photos(folder: Path, *, num_classes: int, a_class: int) -> None:
    """Write JPEG files as large as ImageNet's usually are, to `folder`/(train, test)/CLASS; one a class to test.

    There are few different ones: noise is slow to make, and decoding does not notice.
    """
    generator = torch.Generator().manual_seed(0)
    photos = [_photo(generator) for _ in range(_PHOTOS)]
    for split, count in (("train", a_class), ("test", 1)):
        for label in range(num_classes):
            inside = folder / split / f"{label:04d}"
            inside.mkdir(parents=True)
            for i in range(count):
                (inside / f"{i:03d}.jpg").write_bytes(photos[(label * count + i) % _PHOTOS])


def _photo(generator: torch.Generator) -> bytes:
    """Blobs of colour under film grain, some 100 kB, as ImageNet's average."""
    coarse = torch.rand(1, 3, 12, 16, generator=generator) * 255
    blobs = F.interpolate(coarse, size=_PHOTO_HW, mode="bicubic")[0]
    grain = 8 * torch.randn(1, *_PHOTO_HW, generator=generator)
    pixels_HWC = (blobs + grain).clamp(0, 255).byte().permute(1, 2, 0).contiguous()
    encoded = io.BytesIO()
    Image.fromarray(pixels_HWC.numpy()).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def preprocessing(network: ModelName) -> Preprocessing:
    """How images become the input of `network`: scaled by its native data's statistics."""
    facts = models.facts(network)
    return Preprocessing(image_px=facts.native_px, in_channels=facts.native_channels, mean=facts.mean, std=facts.std)
