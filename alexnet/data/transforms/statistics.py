"""Means, standard deviations and covariance of the channels over many images, from exact integer sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 1 << 14  # fits the processor's cache


@dataclass(frozen=True)
class Moments:
    """Sums over pixels, levels 0..255, from which statistics follow; parts of a data set add up without error."""

    pixels: int
    sums: tuple[int, ...]
    """Of each channel."""
    products: tuple[tuple[int, ...], ...]
    """Of each channel with each."""

    @classmethod
    def zero(cls, channels: int) -> Moments:
        """Of no pixels."""
        return cls(0, (0,) * channels, ((0,) * channels,) * channels)

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Moments:
        """Of all pixels of uint8 [..., C], at most 10**11 at once: float64 counts exactly up to 2**53."""
        C = pixels.shape[-1]
        levels_NC = pixels.reshape(-1, C)
        gram = np.zeros((C + 1, C + 1))
        for start in range(0, len(levels_NC), _ROWS):
            part_NC = levels_NC[start : start + _ROWS]
            planes = np.ones((C + 1, len(part_NC)))  # the row of ones makes sums of the products
            planes[1:] = part_NC.T
            gram += planes @ planes.T
        counts = [[int(value) for value in row] for row in gram]
        return cls(counts[0][0], tuple(counts[0][1:]), tuple(tuple(row[1:]) for row in counts[1:]))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.pixels + other.pixels,
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(
                tuple(a + b for a, b in zip(mine, its, strict=True))
                for mine, its in zip(self.products, other.products, strict=True)
            ),
        )

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel, pixels in 0..1."""
        return tuple(total / (255 * self.pixels) for total in self.sums)

    @property
    def covariance(self) -> tuple[tuple[float, ...], ...]:
        """[C, C], of pixels in 0..1, over all pixels (divided by their number)."""
        # The difference is taken among integers: nothing cancels.
        n = self.pixels
        return tuple(
            tuple((n * product - mine * its) / (255 * n) ** 2 for product, its in zip(row, self.sums, strict=True))
            for row, mine in zip(self.products, self.sums, strict=True)
        )

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel, pixels in 0..1."""
        return tuple(float(np.sqrt(row[i])) for i, row in enumerate(self.covariance))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the sums stay integers."""
        return {"pixels": self.pixels, "sums": list(self.sums), "products": [list(row) for row in self.products]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Moments:
        """What `to_json` made."""
        return cls(values["pixels"], tuple(values["sums"]), tuple(tuple(row) for row in values["products"]))
