"""Small networks, and images to check their exports on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet import models, weights
from alexnet.card import Calibration, ModelCard, Preprocessing
from alexnet.evaluation import Classifier
from alexnet.models import initialize
from alexnet.runtime import choose

Make = Callable[..., Classifier]
DIGITS = tuple("0123456789")


def make_classifier(name: str, *, image_px: int, in_channels: int = 3, resize_px: int | None = None, **options: Any):
    """A network with random weights and a calibration, whose classes are the digits."""
    torch.manual_seed(0)
    options = {"num_classes": 10, "in_channels": in_channels, "image_px": image_px, **options}
    model = models.create(name, **options)
    initialize(model, "kaiming")
    for layer in model.modules():  # as after training: norms that do something
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 2)
    for name_of, buffer in model.named_buffers():
        if name_of.endswith("mean_image.image"):
            buffer.uniform_(-0.1, 0.1)
    card = ModelCard(
        model=name,
        options=options,
        class_names=DIGITS,
        preprocessing=Preprocessing(
            image_px=image_px,
            in_channels=in_channels,
            mean=(0.4, 0.5, 0.6)[:in_channels],
            std=(0.2, 0.25, 0.3)[:in_channels],
            resize_px=resize_px,
        ),
        calibration=Calibration(temperature=1.7, n=100, coverage=((0.5, 1.0, 0.5),)),
    )
    return Classifier(model, card, choose("cpu", "fp32"))


@pytest.fixture(scope="session")
def make() -> Make:
    return make_classifier


@pytest.fixture(scope="session")
def lenet(make: Make) -> Classifier:
    """Grey images of 20 px, cut from 24."""
    return make("lenet", image_px=20, in_channels=1, resize_px=24)


@pytest.fixture(scope="session")
def lenet_file(lenet: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lenet.safetensors"
    weights.save(path, lenet.model, lenet.card)
    return path
