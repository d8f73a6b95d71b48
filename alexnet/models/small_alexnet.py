"""An eight-layer AlexNet for small photographs, light enough to be trained on a laptop."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation
from alexnet.models._build import ConvNet, ModelFacts, activation_layer, check_size, named, register


@register(
    ModelFacts(
        native_px=64,
        native_channels=3,
        native_classes=160,
        parameters=3_279_504,
        lr=0.05,
        mean=(0.4785, 0.4490, 0.3997),
        std=(0.2772, 0.2703, 0.2819),
        source="this package: AlexNet's five convolutions and three dense layers, with batch norm",
    )
)
def small_alexnet(
    num_classes: int = 160,
    in_channels: int = 3,
    image_px: int = 64,
    dropout: float = 0.0,
    activation: Activation = "gelu",
) -> ConvNet:
    """Five convolutions and three dense layers, as AlexNet has them, for photographs of 64 px.

    As in AlexNet, the first convolution takes big steps, so that all others work on small maps: an image of 64 px
    costs what one of 32 px costs in `cifar_alexnet`. It is there to be whitened (`model.whiten`). Each layer between
    it and the last is normalised over the batch (Ioffe 2015), and the last maps are pooled to 2 x 2, so images of
    any side from 18 px on can be mixed in one training.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 18 or more.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.

    Raises:
        UserError: the images are too small, or the activation is unknown.
    """
    maps = 48
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(in_channels, maps, kernel_size=4, stride=2)),
        ("act1", activation_layer(activation)),
    ]
    # Each max-pool comes before norm and activation, which then cost a quarter.
    for i, outputs, pooled in ((2, 96, True), (3, 256, True), (4, 384, False), (5, 384, True)):
        layers.append((f"conv{i}", nn.Conv2d(maps, outputs, kernel_size=3, padding=1, bias=False)))
        if pooled:
            layers.append((f"pool{i}", nn.MaxPool2d(kernel_size=2, stride=2)))
        layers += [(f"norm{i}", nn.BatchNorm2d(outputs)), (f"act{i}", activation_layer(activation))]
        maps = outputs
    features = named([*layers, ("maxpool", nn.AdaptiveMaxPool2d(2))])
    check_size("small_alexnet", features, image_px)
    units = 384
    classifier = named(
        [
            ("fc6", nn.Linear(maps * 2 * 2, units, bias=False)),
            ("norm6", nn.BatchNorm1d(units)),
            ("act6", activation_layer(activation)),
            ("drop6", nn.Dropout(dropout)),
            ("fc7", nn.Linear(units, units, bias=False)),
            ("norm7", nn.BatchNorm1d(units)),
            ("act7", activation_layer(activation)),
            ("drop7", nn.Dropout(dropout)),
            ("fc8", nn.Linear(units, num_classes)),
        ]
    )
    return ConvNet(features, classifier)
