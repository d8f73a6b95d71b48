"""An eight-layer AlexNet for 32 px images, with what has been learned since 2012."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation
from alexnet.models._build import ConvNet, ModelFacts, activation_layer, check_size, named, register


@register(
    ModelFacts(
        native_px=32,
        native_channels=3,
        native_classes=10,
        parameters=2_837_954,
        lr=0.05,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        source="this package: AlexNet's five convolutions and three dense layers, with batch norm",
    )
)
def cifar_alexnet(
    num_classes: int = 10,
    in_channels: int = 3,
    image_px: int = 32,
    dropout: float = 0.0,
    activation: Activation = "gelu",
) -> ConvNet:
    """Five convolutions and three dense layers, as AlexNet has them, for small images.

    The first convolution sees 2 x 2 pixels: it is there to be whitened (`model.whiten`). Each layer between it and
    the last is normalised over the batch (Ioffe 2015), and the last maps are pooled to 2 x 2, so images of any side
    from 9 px on can be mixed in one training. Widths as in cifar10-airbench (Jordan 2024), which has seven
    convolutions and one dense layer.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 9 or more.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.

    Raises:
        UserError: the images are too small, or the activation is unknown.
    """
    # Each max-pool comes before norm and activation, which then cost a quarter.
    features = named(
        [
            ("conv1", nn.Conv2d(in_channels, 24, kernel_size=2)),
            ("act1", activation_layer(activation)),
            ("conv2", _conv(24, 64)),
            ("pool2", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("norm2", nn.BatchNorm2d(64)),
            ("act2", activation_layer(activation)),
            ("conv3", _conv(64, 256)),
            ("pool3", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("norm3", nn.BatchNorm2d(256)),
            ("act3", activation_layer(activation)),
            ("conv4", _conv(256, 384)),
            ("norm4", nn.BatchNorm2d(384)),
            ("act4", activation_layer(activation)),
            ("conv5", _conv(384, 384)),
            ("pool5", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("norm5", nn.BatchNorm2d(384)),
            ("act5", activation_layer(activation)),
            ("maxpool", nn.AdaptiveMaxPool2d(2)),
        ]
    )
    check_size("cifar_alexnet", features, image_px)
    classifier = named(
        [
            ("fc6", nn.Linear(384 * 2 * 2, 256, bias=False)),
            ("norm6", nn.BatchNorm1d(256)),
            ("act6", activation_layer(activation)),
            ("drop6", nn.Dropout(dropout)),
            ("fc7", nn.Linear(256, 256, bias=False)),
            ("norm7", nn.BatchNorm1d(256)),
            ("act7", activation_layer(activation)),
            ("drop7", nn.Dropout(dropout)),
            ("fc8", nn.Linear(256, num_classes)),
        ]
    )
    return ConvNet(features, classifier)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
