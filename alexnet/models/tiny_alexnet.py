"""TinyAlexNet: the tutorial's small net for 32 px images."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation
from alexnet.models._build import ConvNet, ModelFacts, activation_layer, check_size, named, register


@register(
    ModelFacts(
        native_px=32,
        native_channels=3,
        native_classes=10,
        parameters=613_834,
        lr=0.05,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        source="the tutorial's TinyAlexNet",
    )
)
def tiny_alexnet(
    num_classes: int = 10,
    in_channels: int = 3,
    image_px: int = 32,
    dropout: float = 0.5,
    activation: Activation = "relu",
) -> ConvNet:
    """TinyAlexNet: 32 maps in each of three convolutions, then 256, 256 and K units; 613,834 parameters.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 4 or more.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.

    Raises:
        UserError: the images are too small, or the activation is unknown.
    """
    # Activations never decrease, so one after a max-pool equals one before it and costs a quarter.
    features = named(
        [
            ("conv1", nn.Conv2d(in_channels, 32, kernel_size=5, padding=2)),
            ("pool1", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("act1", activation_layer(activation)),
            ("conv2", nn.Conv2d(32, 32, kernel_size=3, padding=1)),
            ("act2", activation_layer(activation)),
            ("conv3", nn.Conv2d(32, 32, kernel_size=3, padding=1)),
            ("pool3", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("act3", activation_layer(activation)),
        ]
    )
    side = check_size("tiny_alexnet", features, image_px)
    classifier = named(
        [
            ("fc4", nn.Linear(32 * side * side, 256)),
            ("act4", activation_layer(activation)),
            ("drop4", nn.Dropout(dropout)),
            ("fc5", nn.Linear(256, 256)),
            ("act5", activation_layer(activation)),
            ("drop5", nn.Dropout(dropout)),
            ("fc6", nn.Linear(256, num_classes)),
        ]
    )
    return ConvNet(features, classifier)
