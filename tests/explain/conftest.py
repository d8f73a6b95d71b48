"""Networks whose answers can be said beforehand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from alexnet import models
from alexnet.card import ModelCard, Preprocessing
from alexnet.evaluation import Classifier
from alexnet.explain import Subject
from alexnet.runtime import Runtime

FP32 = Runtime(torch.device("cpu"), torch.float32, 1)
COLOURS = ("red", "green", "blue")


def classifier_of(model: nn.Module, image_px: int, names: tuple[str, ...], channels: int = 3) -> Classifier:
    how = Preprocessing(image_px=image_px, in_channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)
    card = ModelCard(model="custom", options={}, class_names=names, preprocessing=how)
    return Classifier(model, card, FP32)


def colour_net(image_px: int = 8) -> nn.Sequential:
    """Channel c of conv1 answers with the brightness of colour c where it is above a half; fc2 adds up its places."""
    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(3, 3, kernel_size=2, stride=2))
    net.add_module("act1", nn.ReLU())
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc2", nn.Linear(3 * (image_px // 2) ** 2, 3, bias=False))
    with torch.no_grad():
        net.conv1.weight.zero_()  # type: ignore[union-attr]
        for c in range(3):
            net.conv1.weight[c, c] = 0.25  # type: ignore[index, union-attr]
        net.conv1.bias.fill_(-0.5)  # type: ignore[union-attr]
        net.fc2.weight.copy_(torch.eye(3).repeat_interleave((image_px // 2) ** 2, 1))  # type: ignore[union-attr, operator]
    return net.eval()


@pytest.fixture
def colours() -> Subject:
    return Subject(classifier_of(colour_net(), 8, COLOURS))


@pytest.fixture
def make() -> Callable[..., Subject]:
    """A network of the zoo, initialised at random, by name and options."""

    def build(
        name: str, *, image_px: int | None = None, num_classes: int = 5, seed: int = 0, **options: object
    ) -> Subject:
        facts = models.facts(name)
        px = image_px or facts.native_px
        net = models.create(name, num_classes=num_classes, image_px=px, **options)
        generator = torch.Generator().manual_seed(seed)
        models.initialize(net, "kaiming", generator)
        for module in net.modules():  # norms that do something
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for values in (module.weight, module.bias, module.running_mean):
                    values.data.add_(0.3 * torch.randn(values.shape, generator=generator))
        names = tuple(f"class {i}" for i in range(num_classes))
        return Subject(classifier_of(net, px, names, facts.native_channels))

    return build
