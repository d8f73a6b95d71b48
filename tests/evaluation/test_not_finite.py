"""Weights that hold NaN give no answers and are not converted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import alexnet
from alexnet import models, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.errors import UserError


def spoiled(value: float) -> torch.nn.Module:
    net = models.create("lenet", num_classes=3, in_channels=1, image_px=28)
    with torch.no_grad():
        next(net.parameters()).fill_(value)
    return net


def test_no_answer_from_weights_that_are_not_finite(tmp_path: Path) -> None:
    card = ModelCard(
        model="lenet",
        options={"num_classes": 3, "in_channels": 1, "image_px": 28},
        class_names=("a", "b", "c"),
        preprocessing=Preprocessing(image_px=28, in_channels=1, mean=(0.5,), std=(0.5,)),
    )
    weights.save(tmp_path / "net.safetensors", spoiled(float("nan")), card)
    classifier = alexnet.load(tmp_path / "net.safetensors")
    with pytest.raises(UserError, match="answers NaN or infinity"):
        classifier.predict(np.zeros((28, 28), np.uint8))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_not_converted(value: float, tmp_path: Path) -> None:
    torch.save(spoiled(value).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UserError, match="hold NaN or infinity"):
        weights.convert(tmp_path / "net.pth", "lenet", None, mean=(0.5,), std=(0.5,))


def test_a_flipped_bit_in_a_file_of_torch_is_found(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(spoiled(1.0).state_dict(), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        weights.convert(path, "lenet", None, mean=(0.5,), std=(0.5,))
