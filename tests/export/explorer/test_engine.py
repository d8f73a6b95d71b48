"""The page's engine beside PyTorch."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from alexnet import models
from alexnet.errors import UserError
from alexnet.export.explorer.describe import describe, levels, trace
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import MaskingDropout, TowersNorm, WithinMapNorm

ZOO = {
    "tiny_alexnet": {},
    "lenet": {},
    "cifar_alexnet": {"towers": "two"},
    "small_alexnet": {"num_classes": 12},
    "convnet_2012": {"norm": "batch"},
    "alexnet_2012": {"image_px": 64, "num_classes": 5, "variant": "source"},
}


def settle(model, seed=0):
    """Random weights and statistics, as a trained network has them, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) and layer.running_mean is not None:
            for part, low, high in (
                (layer.running_mean, -0.3, 0.3),
                (layer.running_var, 0.5, 2.0),
                (layer.weight, 0.5, 1.5),
                (layer.bias, -0.3, 0.3),
            ):
                if part is not None:
                    nn.init.uniform_(part, low, high, generator=generator)
    return model.eval()


def agree(found, expected, within=2e-5):
    for ours, theirs in zip(found, expected, strict=True):
        theirs = theirs[0].numpy()
        assert ours.size == theirs.size
        scale = max(1.0, float(np.abs(theirs).max()))
        assert np.abs(ours.reshape(theirs.shape) - theirs).max() <= within * scale


@pytest.mark.parametrize("plain", [False, True], ids=["simd", "plain"])
def test_every_network_of_the_zoo(compute, as_values, plain):
    nets, expected = [], []
    for name, options in ZOO.items():
        px = options.get("image_px", models.facts(name).native_px)
        in_channels = models.facts(name).native_channels
        if name == "alexnet_2012":
            options = {**options, "dropout": 0.0}
        model = settle(models.create(name, **options))
        if name == "alexnet_2012":  # its dense layers would take the memory and time of all others together
            model.classifier = nn.Sequential(nn.Linear(256, 5)).eval()
            settle(model)
        x_NCHW = torch.randn(1, in_channels, px, px, generator=torch.Generator().manual_seed(1))
        nets.append(as_values(model, x_NCHW[0]))
        expected.append(trace(describe(model), x_NCHW))
        assert torch.equal(expected[-1][-1], model(x_NCHW))
    for found, theirs in zip(compute(nets, plain=plain), expected, strict=True):
        agree(found, theirs)


def random_net(rng):
    """A small network of random layers, and the shape [C, H, W] of its images."""
    channels, h, w = rng.randint(1, 4), rng.randint(6, 20), rng.randint(6, 20)
    shape, layers, image = (channels, h, w), [], (channels, h, w)
    for _ in range(rng.randint(1, 6)):
        layer = random_layer(rng, *shape)
        try:
            with torch.no_grad():
                out = nn.Sequential(layer).eval()(torch.zeros(1, *shape))
        except RuntimeError:  # a window larger than the map
            continue
        if min(out.shape[1:]) > 0:
            layers.append(layer)
            shape = tuple(out.shape[1:])
    layers.append(nn.Flatten())
    units = shape[0] * shape[1] * shape[2]
    if rng.random() < 0.5:
        layers += [nn.Linear(units, rng.randint(1, 9), bias=rng.random() < 0.7), rng.choice(ACTIVATIONS)()]
        units = layers[-2].out_features
        if rng.random() < 0.5:
            layers.append(nn.BatchNorm1d(units))
    layers.append(nn.Linear(units, rng.randint(2, 7)))
    return nn.Sequential(*layers), image


ACTIVATIONS = (
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    lambda: nn.ELU(alpha=0.7),
    lambda: nn.LeakyReLU(0.2),
)


def random_layer(rng, c, h, w):
    def pair(low, high):
        return rng.randint(low, high), rng.randint(low, high)

    kind = rng.choice(["conv", "conv", "conv", "max", "mean", "adaptive", "norm", "lrn", "act", "pad", "drop"])
    if kind == "conv":
        groups = rng.choice([g for g in (1, 1, 2, 3) if c % g == 0])
        return nn.Conv2d(
            c,
            groups * rng.randint(1, 6),
            pair(1, 5),
            stride=pair(1, 3),
            padding=pair(0, 2),
            dilation=pair(1, 2),
            groups=groups,
            bias=rng.random() < 0.7,
        )
    if kind in ("max", "mean"):
        kernel = pair(1, 4)
        padding = tuple(rng.randint(0, k // 2) for k in kernel)
        ceil = rng.random() < 0.5
        if kind == "max":
            return nn.MaxPool2d(kernel, pair(1, 3), padding, dilation=rng.choice([1, 2]), ceil_mode=ceil)
        return nn.AvgPool2d(kernel, pair(1, 3), padding, ceil_mode=ceil, count_include_pad=rng.random() < 0.5)
    if kind == "adaptive":
        return rng.choice([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])((rng.randint(1, h), rng.randint(1, w)))
    if kind == "norm":
        return nn.BatchNorm2d(c, affine=rng.random() < 0.7)
    if kind == "lrn":
        own = [ResponseNorm(0.01), WithinMapNorm(), nn.LocalResponseNorm(rng.randint(1, 6), 0.1, 0.6, 1.5)]
        return rng.choice([*own, TowersNorm()] if c % 2 == 0 else own)
    if kind == "pad":
        return nn.ZeroPad2d(tuple(rng.randint(0, 2) for _ in range(4)))
    if kind == "drop":
        return rng.choice([nn.Dropout(0.4), nn.Dropout2d(0.3), MaskingDropout(0.5)])
    return rng.choice(ACTIVATIONS)()


@pytest.mark.parametrize("plain", [False, True], ids=["simd", "plain"])
def test_two_hundred_random_networks(compute, as_values, plain):
    rng = random.Random(7)
    nets, expected, kinds = [], [], set()
    for seed in range(200):
        model, shape = random_net(rng)
        settle(model, seed)
        x_NCHW = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))
        nets.append(as_values(model, x_NCHW[0]))
        expected.append(trace(describe(model), x_NCHW))
        kinds |= {op["op"] for op in nets[-1]["ops"]}
    assert len(kinds) == 12  # every operation took part
    for found, theirs in zip(compute(nets, plain=plain), expected, strict=True):
        agree(found, theirs)


def test_channels_switched_off_are_zero_for_all_that_follows(compute, as_values):
    model = settle(models.create("tiny_alexnet", dropout=0.0))
    x_NCHW = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    found = describe(model)
    at = levels(found.ops)[1]["last"]

    def mask(_layer, _inputs, output):
        output[:, [3, 17]] = 0
        return output

    handle = found.modules[at].register_forward_hook(mask)
    expected = trace(found, x_NCHW)
    handle.remove()
    agree(compute([as_values(model, x_NCHW[0], off=[(at, [3, 17])])])[0], expected)


@pytest.mark.parametrize(("weights", "within"), [("int16", 4e-4), ("int8", 0.05)])
def test_weights_of_fewer_bits_are_close(compute, as_values, weights, within):
    model = settle(models.create("tiny_alexnet", dropout=0.0))
    with torch.no_grad():
        model.features.conv2.weight.mul_(1e-6)  # would be lost in fp16 without a scale
        model.features.conv3.weight.mul_(1e6)  # would overflow
    x_NCHW = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    agree(compute([as_values(model, x_NCHW[0], weights)])[0], trace(describe(model), x_NCHW), within)


def test_levels_begin_with_layers_that_have_weights():
    ops = describe(models.create("tiny_alexnet", dropout=0.5)).ops
    assert [(level["name"], level["kind"], level["first"], level["last"]) for level in levels(ops)] == [
        ("conv1", "maps", 0, 2),
        ("conv2", "maps", 3, 4),
        ("conv3", "maps", 5, 8),
        ("fc4", "units", 9, 11),
        ("fc5", "units", 12, 14),
        ("fc6", "units", 15, 15),
    ]
    assert [ops[level["shown"]]["name"] for level in levels(ops)] == ["act1", "act2", "act3", "act4", "act5", "fc6"]


class Own(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Own(), "not Own: its steps cannot be read"),
        (nn.Sequential(nn.Softplus()), "0 is Softplus.*cannot compute"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), "by numbers"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "pads convolutions with zeros"),
        (nn.Sequential(nn.AvgPool2d(2, divisor_override=3)), "not by 3"),
        (nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False)), "keeps no statistics"),
        (nn.Sequential(nn.Flatten(2)), "flattens all but the batch"),
    ],
)
def test_what_the_page_cannot_compute_is_refused(model, message):
    with pytest.raises(UserError, match=message):
        describe(model)
