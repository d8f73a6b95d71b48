"""Which network, with which options."""

from __future__ import annotations

from dataclasses import dataclass

from alexnet._checks import check_values, require
from alexnet.config.choices import (
    Activation,
    Init,
    MiddleLayer,
    ModelName,
    Norm,
    Towers,
    Variant,
)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network; the number of classes, the channels and the image size come from the data."""

    name: ModelName = "tiny_alexnet"
    """Network, see `alexnet models`."""
    activation: Activation | None = None
    """Activation function; None: the network's own (tanh for lenet, gelu for cifar_alexnet and small_alexnet, relu
    elsewhere)."""
    dropout: float | None = None
    """Share of units dropped in the hidden dense layers, in [0, 1); None: the network's own (0.5; 0 in
    cifar_alexnet, small_alexnet, convnet_2012 and lenet)."""
    norm: Norm | None = None
    """convnet_2012: what follows the first two poolings: response (the paper's, across maps), batch or none;
    None: response."""
    pool_px: int | None = None
    """convnet_2012: side of the pooling windows, which lie 2 px apart: 3 (overlapping) or 2; None: 3."""
    towers: Towers | None = None
    """cifar_alexnet: one; two, which meet in conv3 alone (the paper's two GPUs); half, one of these by itself;
    None: one."""
    without: MiddleLayer | None = None
    """cifar_alexnet: a convolution left out; None: none."""
    init: Init = "kaiming"
    """First weights: xavier (the tutorial), gaussian (0.01, the paper), gaussian_source (0.01, but 0.03 in conv3 to
    conv5: the paper's own code) or kaiming (He 2015)."""
    variant: Variant | None = None
    """alexnet_2012: layers as the paper prints them, as its authors' code (source) has them, or as others trained
    them (bvlc_alexnet, caffenet, imgclsmob); None: paper."""
    whiten: bool = False
    """Begin the first convolution with the principal components of training patches, whitened (Page 2019)."""

    def __post_init__(self) -> None:
        check_values(self, "model.")
        require(
            self.dropout is None or 0 <= self.dropout < 1,
            f"model.dropout must lie in [0, 1), not {self.dropout}",
        )
        require(self.pool_px in (None, 2, 3), f"model.pool_px must be 2 or 3, not {self.pool_px}")
        require(
            self.variant is None or self.name == "alexnet_2012",
            f"model.variant is not used by {self.name} (it belongs to alexnet_2012): drop it",
        )
