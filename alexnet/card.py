"""What travels with weights: how images become a network's input, and what its outputs mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alexnet._checks import require
from alexnet.config import Fit


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What turns an image file into a network's input; it travels with the weights.

    An image is turned upright (EXIF), brought to `in_channels` channels, fitted to a square of `square_px` by `fit`,
    cut to that square's centre of `image_px`, scaled to 0..1, and normalised: `(x - mean) / std` per channel.
    """

    image_px: int
    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize_px: int | None = None
    """Side of the square that the network's input is cut from; None: the input's own."""
    fit: Fit = "crop"
    """How an image that is not square becomes one: `crop`, the short side resized and the centre cut out; `pad`, the
    long side resized and the rest black; `squash`, both sides resized."""

    @property
    def square_px(self) -> int:
        """Side of the square that an image is brought to."""
        return self.resize_px or self.image_px

    def __post_init__(self) -> None:
        require(self.in_channels in (1, 3), f"images have 1 or 3 channels, not {self.in_channels}")
        require(
            len(self.mean) == self.in_channels == len(self.std) and min(self.std) > 0,
            f"mean and std need {self.in_channels} values, the latter positive",
        )
        require(
            self.square_px >= self.image_px,
            f"resize_px ({self.resize_px}) must be at least image_px ({self.image_px})",
        )


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What held-out images say about a network's probabilities; it travels with the weights."""

    temperature: float
    """What scores are divided by before softmax, so that probabilities are as often right as they say (Guo 2017)."""
    n: int
    """Held-out images all of this was fitted on."""
    coverage: tuple[tuple[float, float, float], ...]
    """Probability, share of the held-out images whose best class has at least that one, and their accuracy; the
    highest probability first."""
    limit: float | None = None
    """Distance from the nearest class, in feature space, that 5% of the held-out images exceed."""
    means: str | None = None
    """Means [K, D] of the classes' features over the training images, float16, in base64."""
    scale: str | None = None
    """Standard deviations [D] of features within their classes, likewise."""

    def __post_init__(self) -> None:
        require(self.temperature > 0, f"calibration.temperature must be positive, not {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """All that a weights file says beside its tensors: enough to rebuild the network and feed it."""

    model: str
    """A name of `alexnet.models`."""
    options: dict[str, Any]
    """Its keyword arguments: num_classes, in_channels, image_px, dropout, activation, variant."""
    class_names: tuple[str, ...]
    """Name of each output, in order."""
    preprocessing: Preprocessing
    recipe: dict[str, Any] | None = None
    """The recipe the weights were trained by, where known."""
    source: str | None = None
    """Where converted weights came from."""
    calibration: Calibration | None = None
    """Fitted on held-out images; None where none were held out."""
