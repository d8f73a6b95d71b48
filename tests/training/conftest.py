"""Images so few and easy that a whole run takes a moment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from alexnet.data import Dataset, Images

CLASSES = ("dark", "light", "striped")


def striped_images(n: int, px: int = 16, channels: int = 1, seed: int = 0) -> Images:
    """Images of three easy classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    shades = (labels * 80).astype(np.uint8)[:, None, None, None]
    pixels = rng.integers(0, 60, (n, px, px, channels), dtype=np.uint8) + shades
    pixels[labels == 2, ::2] = 0
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels))


@pytest.fixture
def small_data() -> Callable[..., Dataset]:
    """Makes a data set for training; opening its test split fails."""

    def make(n: int = 33, *, n_val: int = 0, px: int = 16, channels: int = 1) -> Dataset:
        def no_test() -> Images:
            raise AssertionError("the test split was opened")

        val = striped_images(n_val, px, channels, seed=1) if n_val else None
        return Dataset("striped", CLASSES, striped_images(n, px, channels), val, no_test, {})

    return make
