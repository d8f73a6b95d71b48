"""AlexNet three times: the tutorial's single tower, the paper's of 2012, and the one of 2014 torchvision ships."""

from __future__ import annotations

from torch import nn

from alexnet.config import Activation, Variant
from alexnet.errors import UserError
from alexnet.models._build import ConvNet, ModelFacts, activation_layer, check_size, named, register
from alexnet.models._caffe_2012 import REBUILT, SubtractImage, rebuilt_layers
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import MaskingDropout, TowersNorm, WithinMapNorm

_IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of 2012's training images, as torchvision and timm use them
_IMAGENET_STD = (0.229, 0.224, 0.225)


def _pool(name: str) -> tuple[str, nn.Module]:
    return name, nn.MaxPool2d(kernel_size=3, stride=2)  # overlapping (Krizhevsky 2012, 3.4)


def _response_norm(name: str) -> tuple[str, nn.Module]:
    return name, ResponseNorm(alpha=1e-4)


def _dense_layers(inputs: int, num_classes: int, dropout: float, activation: Activation) -> nn.Sequential:
    """fc6 to fc8, dropout on the outputs of the two hidden layers (Krizhevsky 2012, 4.2)."""
    return named(
        [
            ("fc6", nn.Linear(inputs, 4096)),
            ("act6", activation_layer(activation)),
            ("drop6", nn.Dropout(dropout)),
            ("fc7", nn.Linear(4096, 4096)),
            ("act7", activation_layer(activation)),
            ("drop7", nn.Dropout(dropout)),
            ("fc8", nn.Linear(4096, num_classes)),
        ]
    )


@register(
    ModelFacts(
        native_px=224,
        native_channels=3,
        native_classes=1000,
        parameters=50_844_008,
        lr=0.01,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        source="the tutorial's AlexNet",
    )
)
def alexnet(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_px: int = 224,
    dropout: float = 0.5,
    activation: Activation = "relu",
) -> ConvNet:
    """The tutorial's AlexNet: one tower, no response normalisation, no padding at conv1; 50,844,008 parameters.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 67 or more.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.

    Raises:
        UserError: the images are too small, or the activation is unknown.
    """
    # Activations never decrease, so one after a max-pool equals one before it and costs a quarter.
    features = named(
        [
            ("conv1", nn.Conv2d(in_channels, 96, kernel_size=11, stride=4)),
            _pool("pool1"),
            ("act1", activation_layer(activation)),
            ("conv2", nn.Conv2d(96, 256, kernel_size=5, padding=2)),
            _pool("pool2"),
            ("act2", activation_layer(activation)),
            ("conv3", nn.Conv2d(256, 384, kernel_size=3, padding=1)),
            ("act3", activation_layer(activation)),
            ("conv4", nn.Conv2d(384, 384, kernel_size=3, padding=1)),
            ("act4", activation_layer(activation)),
            ("conv5", nn.Conv2d(384, 256, kernel_size=3, padding=1)),
            _pool("pool5"),
            ("act5", activation_layer(activation)),
        ]
    )
    side = check_size("alexnet", features, image_px)
    classifier = _dense_layers(256 * side * side, num_classes, dropout, activation)
    return ConvNet(features, classifier)


@register(
    ModelFacts(
        native_px=224,
        native_channels=3,
        native_classes=1000,
        parameters=60_965_224,
        lr=0.01,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        source="Krizhevsky, Sutskever and Hinton 2012",
    )
)
def alexnet_2012(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_px: int = 224,
    dropout: float = 0.5,
    activation: Activation = "relu",
    variant: Variant = "paper",
    mean_image: bool = False,
) -> ConvNet:
    """The paper's AlexNet, with response normalisation and two groups; 60,965,224 parameters.

    Maps of 55, 27, 13, 13, 13 and 6 px at 224 px. The paper's 224 px do not give 55 px maps without padding: conv1
    pads by 2 on all sides. docs/alexnet-2012.md says what the paper leaves open and what its authors' code does.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 63 or more; 64 for `source`.
        dropout: share of hidden dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.
        variant: `paper`, or `source` for the layers of the authors' code: conv1 pads 3 px at the right and the
            bottom alone, its maps are normalised before the activation and each tower's by themselves, with a fifth
            of alpha; a second normalisation follows the first of conv2; dropout scales at test time. The weights
            have the same names and shapes. Or a net that others trained, for images of 227 px: `bvlc_alexnet` and
            `caffenet` (Caffe), `imgclsmob` (without groups); see `rebuilt_layers`.
        mean_image: whether inputs are first subtracted an image, a buffer of zeros until weights bring it.

    Raises:
        UserError: the images are too small, or the activation or the variant is unknown.
    """
    if variant in REBUILT:
        layers = rebuilt_layers(in_channels, activation, variant)
    elif variant in ("paper", "source"):
        first = _source_first_layers if variant == "source" else _paper_first_layers
        layers = [*first(in_channels, activation), *_layers_from_pool2(activation)]
    else:
        raise UserError(f"unknown variant {variant!r}: choose paper, source, {', '.join(REBUILT)}")
    if mean_image:
        layers.insert(0, ("mean_image", SubtractImage(in_channels, image_px)))
    features = named(layers)
    side = check_size("alexnet_2012", features, image_px)
    classifier = _dense_layers(256 * side * side, num_classes, dropout, activation)
    if variant == "source":
        classifier.drop6, classifier.drop7 = MaskingDropout(dropout), MaskingDropout(dropout)
    return ConvNet(features, classifier)


def _paper_first_layers(in_channels: int, activation: Activation) -> list[tuple[str, nn.Module]]:
    """conv1 to norm2: activation, normalisation and pooling in the order of section 3.5."""
    return [
        ("conv1", nn.Conv2d(in_channels, 96, kernel_size=11, stride=4, padding=2)),
        ("act1", activation_layer(activation)),
        _response_norm("norm1"),
        _pool("pool1"),
        ("conv2", nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)),
        ("act2", activation_layer(activation)),
        _response_norm("norm2"),
    ]


def _layers_from_pool2(activation: Activation) -> list[tuple[str, nn.Module]]:
    return [
        _pool("pool2"),
        ("conv3", nn.Conv2d(256, 384, kernel_size=3, padding=1)),
        ("act3", activation_layer(activation)),
        ("conv4", nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2)),
        ("act4", activation_layer(activation)),
        ("conv5", nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2)),
        _pool("pool5"),
        ("act5", activation_layer(activation)),
    ]


def _source_first_layers(in_channels: int, activation: Activation) -> list[tuple[str, nn.Module]]:
    """conv1 to the second normalisation of conv2, as layers/layers-145.cfg of the authors' code has them."""
    return [
        ("pad1", nn.ZeroPad2d((0, 3, 0, 3))),  # their kernels reach over the far edges, and no other
        ("conv1", nn.Conv2d(in_channels, 96, kernel_size=11, stride=4)),
        ("norm1", TowersNorm()),
        _pool("pool1"),
        ("act1", activation_layer(activation)),
        ("conv2", nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)),
        ("act2", activation_layer(activation)),
        ("norm2", TowersNorm()),
        ("within2", WithinMapNorm()),
    ]


@register(
    ModelFacts(
        native_px=224,
        native_channels=3,
        native_classes=1000,
        parameters=61_100_840,
        lr=0.01,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        source="Krizhevsky 2014 (One weird trick), as torchvision's alexnet",
    )
)
def alexnet_owt(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_px: int = 224,
    dropout: float = 0.5,
    activation: Activation = "relu",
) -> ConvNet:
    """torchvision's `alexnet`, layer for layer, so its weights fit; 61,100,840 parameters.

    Args:
        num_classes: K, the number of outputs.
        in_channels: channels of the images.
        image_px: side of the square images, 63 or more.
        dropout: share of dense units dropped in training, in [0, 1).
        activation: `relu`, `tanh`, `sigmoid`, `elu`, `leaky_relu` or `gelu`.

    Raises:
        UserError: the images are too small, or the activation is unknown.
    """
    features = named(
        [
            ("conv1", nn.Conv2d(in_channels, 64, kernel_size=11, stride=4, padding=2)),
            _pool("pool1"),
            ("act1", activation_layer(activation)),
            ("conv2", nn.Conv2d(64, 192, kernel_size=5, padding=2)),
            _pool("pool2"),
            ("act2", activation_layer(activation)),
            ("conv3", nn.Conv2d(192, 384, kernel_size=3, padding=1)),
            ("act3", activation_layer(activation)),
            ("conv4", nn.Conv2d(384, 256, kernel_size=3, padding=1)),
            ("act4", activation_layer(activation)),
            ("conv5", nn.Conv2d(256, 256, kernel_size=3, padding=1)),
            _pool("pool5"),
            ("act5", activation_layer(activation)),
            ("avgpool", nn.AdaptiveAvgPool2d(6)),
        ]
    )
    check_size("alexnet_owt", features, image_px)
    classifier = named(
        [
            ("drop5", nn.Dropout(dropout)),
            ("fc6", nn.Linear(256 * 6 * 6, 4096)),
            ("act6", activation_layer(activation)),
            ("drop6", nn.Dropout(dropout)),
            ("fc7", nn.Linear(4096, 4096)),
            ("act7", activation_layer(activation)),
            ("fc8", nn.Linear(4096, num_classes)),
        ]
    )
    return ConvNet(features, classifier)
