"""The four-layer net the paper of 2012 tries its ideas with on CIFAR-10."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation, Norm
from alexnet.errors import UserError
from alexnet.models._build import ConvNet, ModelFacts, activation_layer, check_size, named, register
from alexnet.models._response_norm import ResponseNorm

_GREY_LEVELS = 64  # std of photographs' pixels in 0..255, which the paper's nets saw; ours have std 1


@register(
    ModelFacts(
        native_px=32,
        native_channels=3,
        native_classes=10,
        parameters=89_578,
        lr=0.05,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        source="Krizhevsky 2012, the four-layer net for CIFAR-10, as cuda-convnet's layers-18pct.cfg has it",
    )
)
def convnet_2012(
    num_classes: int = 10,
    in_channels: int = 3,
    image_px: int = 32,
    dropout: float = 0.0,
    activation: Activation = "relu",
    norm: Norm = "response",
    pool_px: int = 3,
) -> ConvNet:
    """Three convolutions of 5x5 with 32, 32 and 64 maps, each pooled, and one dense layer; 89,578 parameters.

    The first pooling takes maxima, the others means, and the first two are followed by a norm. Maps of 16, 8 and 4 px
    at 32 px: the last window may reach over the edge. cuda-convnet's file norms within each map; here the paper's
    norm across maps is taken (section 3.3), with the paper's constants for pixels in 0..255.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 8 or more.
        dropout: share of the dense layer's inputs dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu` or `leaky_relu`.
        norm: `response`, `batch` (Ioffe 2015) or `none`.
        pool_px: side of the pooling windows, which lie 2 px apart: 3, so that they overlap (section 3.4), or 2.

    Raises:
        UserError: the images are too small, the activation or the norm is unknown, or `pool_px` is neither.
    """
    if pool_px not in (2, 3):
        raise UserError(f"model.pool_px must be 2 or 3, not {pool_px}")
    features = named(
        [
            ("conv1", nn.Conv2d(in_channels, 32, kernel_size=5, padding=2)),
            ("pool1", nn.MaxPool2d(pool_px, stride=2, ceil_mode=True)),
            ("act1", activation_layer(activation)),
            ("norm1", _norm(norm, 32)),
            ("conv2", nn.Conv2d(32, 32, kernel_size=5, padding=2)),
            ("act2", activation_layer(activation)),
            ("pool2", nn.AvgPool2d(pool_px, stride=2, ceil_mode=True)),
            ("norm2", _norm(norm, 32)),
            ("conv3", nn.Conv2d(32, 64, kernel_size=5, padding=2)),
            ("act3", activation_layer(activation)),
            ("pool3", nn.AvgPool2d(pool_px, stride=2, ceil_mode=True)),
        ]
    )
    side = check_size("convnet_2012", features, image_px)
    classifier = named([("drop3", nn.Dropout(dropout)), ("fc4", nn.Linear(64 * side * side, num_classes))])
    return ConvNet(features, classifier)


def _norm(kind: Norm, maps: int) -> nn.Module:
    if kind == "response":
        return ResponseNorm(alpha=1e-4 * _GREY_LEVELS**2)
    if kind == "batch":
        return nn.BatchNorm2d(maps)
    if kind == "none":
        return nn.Identity()
    raise UserError(f"unknown norm {kind!r}: choose response, batch or none")
