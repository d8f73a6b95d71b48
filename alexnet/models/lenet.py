"""LeNet: the predecessor the tutorial starts from."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation
from alexnet.models._build import ConvNet, ModelFacts, activation_layer, check_size, named, register


@register(
    ModelFacts(
        native_px=28,
        native_channels=1,
        native_classes=10,
        parameters=44_426,
        lr=0.05,
        mean=(0.2860,),
        std=(0.3530,),
        source="LeCun 1998, with max-pooling and full connections, as the tutorial's book has it",
    )
)
def lenet(
    num_classes: int = 10,
    in_channels: int = 1,
    image_px: int = 28,
    dropout: float = 0.0,
    activation: Activation = "tanh",
) -> ConvNet:
    """LeNet: 6 and 16 maps of 5x5 kernels, then 120, 84 and K units; 44,426 parameters for 28 px grey images.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 16 or more.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `tanh`, `relu`, `sigmoid`, `elu` or `leaky_relu`.

    Raises:
        UserError: the images are too small, or the activation is unknown.
    """
    features = named(
        [
            ("conv1", nn.Conv2d(in_channels, 6, kernel_size=5)),
            ("pool1", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("act1", activation_layer(activation)),
            ("conv2", nn.Conv2d(6, 16, kernel_size=5)),
            ("pool2", nn.MaxPool2d(kernel_size=2, stride=2)),
            ("act2", activation_layer(activation)),
        ]
    )
    side = check_size("lenet", features, image_px)
    classifier = named(
        [
            ("fc3", nn.Linear(16 * side * side, 120)),
            ("act3", activation_layer(activation)),
            ("drop3", nn.Dropout(dropout)),
            ("fc4", nn.Linear(120, 84)),
            ("act4", activation_layer(activation)),
            ("drop4", nn.Dropout(dropout)),
            ("fc5", nn.Linear(84, num_classes)),
        ]
    )
    return ConvNet(features, classifier)
