"""Several networks together, against means of what each says alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from alexnet import models
from alexnet.card import ModelCard, Preprocessing
from alexnet.errors import UserError
from alexnet.evaluation import Classifier, Ensemble
from alexnet.runtime import Runtime

FP32 = Runtime(torch.device("cpu"), torch.float32, 1)


class Brightness(nn.Module):
    """Hand-made: says `light` with the odds e^(gain * mean brightness), `dark` with e^0."""

    def __init__(self, gain: float, light_first: bool) -> None:
        super().__init__()
        self.gain, self.light_first = gain, light_first

    def forward(self, x_NCHW: Tensor) -> Tensor:
        light_N = self.gain * x_NCHW.mean((1, 2, 3))
        dark_N = torch.zeros_like(light_N)
        return torch.stack([light_N, dark_N] if self.light_first else [dark_N, light_N], dim=1)


def hand_made(gain: float, image_px: int = 8, names: tuple[str, ...] = ("dark", "light"), channels: int = 3):
    how = Preprocessing(image_px=image_px, in_channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    card = ModelCard(model="by hand", options={}, class_names=names, preprocessing=how)
    return Classifier(Brightness(gain, names[0] == "light"), card, FP32)


SHADES = {"dark": (0, 102), "light": (153, 255)}  # -1, -0.2, 0.2 and 1 on the networks' scale


@pytest.fixture
def shades(tmp_path: Path) -> str:
    for split in ("train", "test"):
        for name, levels in SHADES.items():
            (tmp_path / split / name).mkdir(parents=True)
            for level in levels:
                pixels = np.full((12, 12, 3), level, np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{level}.png")
    return str(tmp_path)


def probability_of_light(gain: float, level: int) -> float:
    return 1 / (1 + math.exp(-gain * (level / 255 - 0.5) / 0.5))


def loss_of(*gains: float) -> float:
    losses = []
    for name, levels in SHADES.items():
        for level in levels:
            light = sum(probability_of_light(gain, level) for gain in gains) / len(gains)
            losses.append(-math.log(light if name == "light" else 1 - light))
    return sum(losses) / 4


def test_probabilities_are_averaged_and_each_network_is_told_too(shades):
    """The third network is wrong about everything; the mean of the three is right about the bright and the black."""
    gains = (4.0, 1.0, -2.0)
    found = Ensemble([hand_made(gain) for gain in gains]).evaluate(shades)
    assert [member.top1 for member in found.members] == [1, 1, 0]
    assert [member.loss for member in found.members] == pytest.approx([loss_of(gain) for gain in gains], rel=1e-5)
    assert found.together.loss == pytest.approx(loss_of(*gains), rel=1e-5)
    lights = [sum(probability_of_light(gain, level) for gain in gains) / 3 for level in (0, 102, 153, 255)]
    assert found.together.top1 == sum((p > 0.5) == (i > 1) for i, p in enumerate(lights)) / 4
    assert found.together.n == 4


def test_classes_are_matched_by_name_and_preprocessing_is_each_networks_own(shades):
    """Another order of classes, another size, and grey: flat images look the same to all."""
    mixed = [hand_made(4.0), hand_made(1.0, names=("light", "dark")), hand_made(2.0, image_px=12, channels=1)]
    found = Ensemble(mixed).evaluate(shades)
    assert [c.name for c in found.together.classes] == ["dark", "light"]
    assert all([c.name for c in member.classes] == ["dark", "light"] for member in found.members)
    assert [member.loss for member in found.members] == pytest.approx([loss_of(g) for g in (4.0, 1.0, 2.0)], rel=1e-5)
    assert found.together.loss == pytest.approx(loss_of(4.0, 1.0, 2.0), rel=1e-5)


@pytest.mark.parametrize("views", [2, 10])
def test_one_network_is_itself(shades, views):
    alone = hand_made(3.0)
    found = Ensemble([alone]).evaluate(shades, views=views)
    assert found.together == found.members[0] == alone.evaluate(shades, views=views)


def test_to_json(shades):
    found = Ensemble([hand_made(4.0), hand_made(-1.0)]).evaluate(shades)
    values = json.loads(json.dumps(found.to_json()))
    members = values.pop("members")
    assert values == json.loads(json.dumps(found.together.to_json()))
    assert [member["top1"] for member in members] == [1, 0]


def test_networks_that_know_other_classes_are_refused():
    with pytest.raises(UserError, match=r"network 1 and network 3 do not know the same classes.*: dark, night$"):
        Ensemble([hand_made(1), hand_made(2), hand_made(3, names=("light", "night"))])
    with pytest.raises(UserError, match="needs one network or more"):
        Ensemble([])


def test_different_validation_images_are_refused(tmp_path):
    for name in SHADES:
        (tmp_path / name).mkdir()
        for i in range(40):
            Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / name / f"{i}.png")
    first, second = (hand_made(gain) for gain in (1.0, 2.0))
    first.card = replace(first.card, recipe={"val_fraction": 0.2})
    Ensemble([first, second]).evaluate(str(tmp_path))
    with pytest.raises(UserError, match=r"different validation images, so their val splits differ: .*--split test"):
        Ensemble([first, second]).evaluate(str(tmp_path), split="val")
    second.card = first.card
    assert Ensemble([first, second]).evaluate(str(tmp_path), split="val").together.n > 0


def test_real_networks(shades):
    """Two trained by no one, whose probabilities are averaged as tensors."""
    classifiers = []
    for seed, px in ((0, 8), (1, 12)):
        options = {"num_classes": 2, "image_px": px}
        net = models.tiny_alexnet(**options)
        models.initialize(net, "kaiming", torch.Generator().manual_seed(seed))
        how = Preprocessing(image_px=px, in_channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
        card = ModelCard(model="tiny_alexnet", options=options, class_names=("dark", "light"), preprocessing=how)
        classifiers.append(Classifier(net, card, FP32))
    p = sum(classifier.score(shades)[0].exp() for classifier in classifiers) / 2
    truth = torch.tensor([0, 0, 1, 1])
    loss = -p[torch.arange(4), truth].log().mean().item()
    assert Ensemble(classifiers).evaluate(shades).together.loss == pytest.approx(loss, rel=1e-5)
