"""The images that all contenders see: a folder of JPEG files, and the same decoded in one file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet.data import load

_CLASSES = 10
_A_CLASS = {"train": 5_000, "test": 1_000}  # as CIFAR-10
_QUICK_A_CLASS = {"train": 100, "test": 20}


def random_folder(folder: Path) -> Path:
    """`folder`, filled, unless it is, with as many JPEG files as CIFAR-10 has images: soft blobs of colour."""
    done = folder / "done"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(0)
    for split, count in _A_CLASS.items():
        for label in range(_CLASSES):
            inside = folder / split / f"class{label}"
            inside.mkdir(parents=True)
            for i in range(count):
                coarse = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8))
                coarse.resize((32, 32), Image.Resampling.BICUBIC).save(inside / f"{i:04d}.jpg", quality=75)
    done.touch()
    return folder


def first_images(source: Path, folder: Path) -> Path:
    """`folder`, made anew with links to the first images of every class of `source`."""
    shutil.rmtree(folder, ignore_errors=True)
    for split, count in _QUICK_A_CLASS.items():
        for name in sorted(path.name for path in (source / split).iterdir() if path.is_dir()):
            inside = folder / split / name
            inside.mkdir(parents=True)
            for file in sorted((source / split / name).iterdir())[:count]:
                (inside / file.name).symlink_to(file.resolve())
    return folder


def write_arrays(folder: Path, file: Path) -> dict[str, int]:
    """Write the images of `folder`, decoded, to `file`; returns the number of images of each split."""
    dataset = load(folder, image_px=32, val_fraction=0.0)
    splits = {"train": dataset.train, "test": dataset.open_test()}
    arrays = {}
    for name, images in splits.items():
        arrays[f"x_{name}"] = images.pixels_NHWC.numpy()
        arrays[f"y_{name}"] = images.labels_N.numpy()
    np.savez(file, **arrays)
    return {name: len(images) for name, images in splits.items()}
