"""The network that is explained, with all that is needed to show it images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from alexnet.data.transforms.augment import Normalizer
from alexnet.errors import UserError
from alexnet.evaluation import Classifier
from alexnet.explain.layers import Layer, describe
from alexnet.models import ConvNet

_BATCH_PIXELS = 250 * 32 * 32  # images a batch: 250 of 32 px, 5 of 224 px; more is no faster and takes memory

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Subject:
    """A trained network in eval mode."""

    classifier: Classifier

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.classifier.model

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Its convolutions and dense layers; empty for hand-made features."""
        how = self.classifier.card.preprocessing
        try:
            return describe(self.model, how.in_channels, how.image_px)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the network cannot be given images of {how.image_px} px with {how.in_channels} channel(s): {reason}"
            ) from error

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """Its layers but the last, which gives the scores."""
        return tuple(layer for layer in self.layers if not layer.is_last)

    @property
    def last(self) -> Layer | None:
        """The layer that gives the scores; None where it was not found."""
        return next((layer for layer in self.layers if layer.is_last), None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each output."""
        return self.classifier.class_names

    @property
    def image_px(self) -> int:
        """Side of the network's input."""
        return self.classifier.card.preprocessing.image_px

    @property
    def batch_size(self) -> int:
        """Images that are computed at once."""
        return max(1, _BATCH_PIXELS // self.image_px**2)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.classifier.runtime.device

    @cached_property
    def _normalize(self) -> Normalizer:
        runtime = self.classifier.runtime
        return Normalizer(self.classifier.card.preprocessing, runtime.device, torch.float32)

    def input(self, x_NHWC: Tensor) -> Tensor:
        """uint8 [N, H, H, C] of the preprocessing's size to the network's input [N, C, image_px, image_px]."""
        x_NCHW = self._normalize(centre(x_NHWC, self.image_px).to(self.device))
        return x_NCHW if isinstance(self.model, ConvNet) else x_NCHW.contiguous()

    def log_p(self, scores_NK: Tensor) -> Tensor:
        """Log-probabilities of scores; with the temperature that travels with the weights."""
        calibration = self.classifier.card.calibration
        return (scores_NK.float() / (1.0 if calibration is None else calibration.temperature)).log_softmax(1)

    def macs_behind(self, layer: Layer) -> int:
        """Multiply-adds of one image from behind `layer` on."""
        return sum(other.macs for other in self.layers[self.layers.index(layer) + 1 :])

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""
        return max(1, sum(layer.macs for layer in self.layers))


def centre(x_NHWC: Tensor, image_px: int) -> Tensor:
    """The centre of square images, `image_px` a side, as the network sees them."""
    far = (x_NHWC.shape[1] - image_px) // 2
    return x_NHWC[:, far : far + image_px, far : far + image_px].contiguous()


def evenly(n: int, most: int) -> Tensor:
    """At most `most` of n positions, int64, evenly spread, in order."""
    count = min(n, most)
    return torch.arange(count) * n // max(count, 1)


def names_of(indices: Sequence[int], names: Sequence[str]) -> list[str]:
    """The names at `indices`."""
    return [names[i] for i in indices]
