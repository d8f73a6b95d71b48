"""An eight-layer AlexNet for 32 px images, with what has been learned since 2012."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation, MiddleLayer, Towers
from alexnet.errors import UserError
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
    towers: Towers = "one",
    without: MiddleLayer | None = None,
) -> ConvNet:
    """Five convolutions and three dense layers, as AlexNet has them, for small images.

    The first convolution sees 2 x 2 pixels: it is there to be whitened (`model.whiten`). Each layer between it and
    the last is normalised over the batch (Ioffe 2015), and the last maps are pooled to 2 x 2, so images of any side
    from 9 px on can be mixed in one training. Its first widths are those of cifar10-airbench (Jordan 2024),
    which has seven convolutions and one dense layer.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 9 or more.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.
        towers: `one`; `two`, each with half of the maps, which meet in conv3 alone (Krizhevsky 2012, 3.2); or `half`,
            one of these by itself, with half of the maps in each convolution but the last (footnote 2).
        without: a convolution left out with its norm and activation; poolings stay (section 6.1: "removing any").

    Raises:
        UserError: the images are too small, or the activation, the towers or the layer left out are unknown.
    """
    if towers not in ("one", "two", "half"):
        raise UserError(f"unknown towers {towers!r}: choose one, two or half")
    if without not in (None, "conv2", "conv3", "conv4", "conv5"):
        raise UserError(f"{without!r} cannot be left out: choose conv2, conv3, conv4 or conv5")
    part = 2 if towers == "half" else 1
    maps = 24 // part
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(in_channels, maps, kernel_size=2)),
        ("act1", activation_layer(activation)),
    ]
    # Each max-pool comes before norm and activation, which then cost a quarter.
    for i, outputs, pooled in ((2, 64, True), (3, 256, True), (4, 384, False), (5, 384, True)):
        left_out = without == f"conv{i}"
        if not left_out:
            outputs = outputs if i == 5 else outputs // part
            groups = 2 if towers == "two" and i != 3 else 1
            layers.append((f"conv{i}", _conv(maps, outputs, groups)))
            maps = outputs
        if pooled:
            layers.append((f"pool{i}", nn.MaxPool2d(kernel_size=2, stride=2)))
        if not left_out:
            layers += [(f"norm{i}", nn.BatchNorm2d(maps)), (f"act{i}", activation_layer(activation))]
    features = named([*layers, ("maxpool", nn.AdaptiveMaxPool2d(2))])
    check_size("cifar_alexnet", features, image_px)
    classifier = named(
        [
            ("fc6", nn.Linear(maps * 2 * 2, 256, bias=False)),
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


def _conv(inputs: int, outputs: int, groups: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, groups=groups, bias=False)
