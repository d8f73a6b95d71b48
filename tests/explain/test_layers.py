"""Layers found by type, and receptive fields: computed, measured, and by gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet import models
from alexnet.explain import Axis, Field, describe
from alexnet.explain.fields import computed_fields, measured_fields
from alexnet.explain.layers import towers_of
from alexnet.explain.reading import reading

SMALL = ("cifar_alexnet", "convnet_2012", "lenet", "small_alexnet", "tiny_alexnet")


def fields_of(name: str, **options: object) -> dict[str, Axis]:
    facts = models.facts(name)
    layers = describe(models.create(name, **options), facts.native_channels, facts.native_px)
    return {layer.name: layer.field.rows for layer in layers if layer.field is not None}


def test_the_paper_s_receptive_fields():
    """11, 51, 99, 131 and 195 px, as is known of AlexNet (Araujo 2019)."""
    assert fields_of("alexnet_2012") == {
        "conv1": Axis(11, -2, 4),
        "conv2": Axis(51, -18, 8),
        "conv3": Axis(99, -34, 16),
        "conv4": Axis(131, -50, 16),
        "conv5": Axis(195, -66, 32),  # act5 lies behind pool5: 163 px and two steps of 16
    }


def test_the_fields_of_tiny_alexnet_by_hand():
    # 5x5 and a pool of 2: 6 px. A 3x3 adds 2 steps of 2 px each; pool3 adds one step.
    assert fields_of("tiny_alexnet") == {"conv1": Axis(6, -2, 2), "conv2": Axis(10, -4, 2), "conv3": Axis(16, -6, 4)}


@pytest.mark.parametrize("name", SMALL)
def test_computed_and_measured_fields_agree(name):
    facts = models.facts(name)
    model = models.create(name)
    layers = describe(model, facts.native_channels, facts.native_px)
    reads = [(layer.read, layer.call) for layer in layers if layer.kind == "conv" and not layer.is_last]
    computed = computed_fields(model)
    measured = measured_fields(model, reads, facts.native_channels, facts.native_px)
    for key in reads:
        axis = computed[key[0]].rows
        if axis.size < facts.native_px:  # a field as large as the image cannot be told from the whole image
            assert measured[key] == computed[key[0]], key


def test_gradients_reach_just_the_field():
    """Average pools and positive weights: every pixel of the field has a gradient, and no other."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 5, stride=2, padding=1),
        nn.AvgPool2d(3, 2),
        nn.ReLU(),
        nn.Conv2d(2, 1, 3, padding=1, dilation=2),
    )
    for parameter in model.parameters():
        parameter.data.fill_(0.1)
    layers = describe(model, 1, 64)
    field = layers[-1].field
    assert field is not None
    x = torch.ones(1, 1, 64, 64, requires_grad=True)
    row, column = 5, 6
    model(x)[0, 0, row, column].backward()
    touched = (x.grad[0, 0] != 0).nonzero()
    top, left, bottom, right = field.box(row, column)
    assert touched.min(0).values.tolist() == [top, left]
    assert touched.max(0).values.tolist() == [bottom - 1, right - 1]


def test_all_networks_of_the_zoo_have_their_layers():
    for name in models.names():
        facts = models.facts(name)
        model = models.create(name)
        layers = describe(model, facts.native_channels, facts.native_px)
        weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == len(weighted)
        assert [layer.is_last for layer in layers] == [False] * (len(layers) - 1) + [True]
        assert sum(layer.macs for layer in layers) == models.count_macs(model, facts.native_channels, facts.native_px)
        assert all(layer.read.rpartition(".")[2].startswith("act") for layer in layers[:-1])


def test_towers():
    for name, options, expected in (
        ("alexnet_2012", {}, 2),
        ("alexnet", {}, 1),
        ("cifar_alexnet", {"towers": "two"}, 2),
    ):
        facts = models.facts(name)
        model = models.create(name, **options)
        assert towers_of(describe(model, facts.native_channels, facts.native_px)) == expected


class Own(nn.Module):
    """As people write them: functions in between, one ReLU for all, a shortcut, and a pool by function."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        x = x + self.relu(self.inner(x))
        x = F.max_pool2d(x, 2)
        x = F.relu(self.down(x))
        return self.head(x.mean((2, 3)))


def test_a_module_of_one_s_own():
    layers = describe(Own(), 3, 32)
    assert [(layer.name, layer.read, layer.call, layer.channels) for layer in layers] == [
        ("stem", "relu", 0, 4),
        ("inner", "relu", 1, 4),
        ("down", "down", 0, 6),
        ("head", "head", 0, 3),
    ]
    # 3 px; 5 px; behind the pool steps of 2 px: 5 + 1, then two of 2 px more on either side: 6 + 4.
    assert [layer.field and layer.field.rows for layer in layers] == [
        Axis(3, -1, 1),
        Axis(5, -2, 1),
        Axis(10, -4, 4),
        None,
    ]


def test_calls_of_one_module_are_told_apart():
    model, x = Own().eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad(), reading(model, [("relu", 0), ("relu", 1)]) as seen:
        for _ in range(2):  # counted anew in each pass
            model(x)
        first = model.norm(model.stem(x)).relu()
        assert torch.equal(seen[("relu", 0)], first)
        assert torch.equal(seen[("relu", 1)], model.inner(first).relu())


def test_a_field_that_is_not_square():
    model = nn.Sequential(nn.Conv2d(1, 1, (1, 5), padding=(0, 2)), nn.Flatten(), nn.Linear(256, 2))
    assert describe(model, 1, 16)[0].field == Field(Axis(1, 0, 1), Axis(5, -2, 1))


def test_the_mode_is_put_back():
    model = models.create("lenet").train()
    describe(model, 1, 28)
    assert model.training
