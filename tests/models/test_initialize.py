"""First weights against the distributions they are drawn from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from alexnet import models
from alexnet.config import UserError


def layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {path: m for path, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def initialized(name: str, init: str, seed: int = 0, **options: object) -> models.ConvNet:
    with torch.device("meta"):
        net = models.create(name, **options)
    net.to_empty(device="cpu")
    models.initialize(net, init, torch.Generator().manual_seed(seed))
    return net


def fans(layer: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """Connections into and out of one unit, counted from what the layer is rather than from its weight."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    taps = layer.kernel_size[0] * layer.kernel_size[1]
    return layer.in_channels * taps, layer.out_channels * taps


@pytest.mark.parametrize("name", ["tiny_alexnet", "lenet"])
def test_xavier_is_uniform_within_the_glorot_bound(name):
    for path, layer in layers(initialized(name, "xavier")).items():
        fan_in, fan_out = fans(layer)
        bound = math.sqrt(6 / (fan_in + fan_out))
        w = layer.weight.detach()
        assert w.abs().max() <= bound, path
        if w.numel() < 2000:
            continue
        assert w.abs().max() > 0.99 * bound, path
        # deviation of a variance of n uniform numbers: sqrt(0.8 / n) of it
        assert w.var().item() == pytest.approx(2 / (fan_in + fan_out), rel=5 * math.sqrt(0.8 / w.numel())), path
        # a quarter of the numbers in each quarter of the range
        quarters = torch.histc(w, 4, -bound, bound) / w.numel()
        assert quarters.tolist() == pytest.approx([0.25] * 4, abs=5 * math.sqrt(0.1875 / w.numel())), path
    assert all(layer.bias.count_nonzero() == 0 for layer in layers(initialized(name, "xavier")).values())


def test_xavier_of_the_tutorials_first_layer():
    # MXNet: uniform in +-sqrt(3 / ((fan_in + fan_out) / 2)), 75 inputs and 32 * 25 outputs of conv1
    w = initialized("tiny_alexnet", "xavier").features.conv1.weight
    assert 0.081 < w.abs().max() <= 0.0828079  # sqrt(3 / 437.5)


@pytest.mark.parametrize("name", ["tiny_alexnet", "lenet"])
def test_kaiming_is_normal_with_variance_2_over_fan_in(name):
    for path, layer in layers(initialized(name, "kaiming")).items():
        w = layer.weight.detach()
        std = math.sqrt(2 / fans(layer)[0])
        n = w.numel()
        assert w.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n)), path
        assert w.mean().item() == pytest.approx(0, abs=5 * std / math.sqrt(n)), path
        assert (w.abs() > std).float().mean().item() == pytest.approx(0.3173, abs=5 * 0.4654 / math.sqrt(n)), path
        assert layer.bias.count_nonzero() == 0, path


def test_kaiming_counts_the_inputs_of_one_group():
    with torch.device("meta"):
        conv2 = models.alexnet_2012().features.conv2
    conv2.to_empty(device="cpu")
    models.initialize(conv2, "kaiming", torch.Generator().manual_seed(0))
    assert conv2.weight.std().item() == pytest.approx(math.sqrt(2 / (48 * 25)), rel=0.01)


@pytest.mark.parametrize("name", ["alexnet_2012", "tiny_alexnet", "lenet"])
def test_gaussian_is_the_papers(name):
    options = {"image_px": 63, "num_classes": 4} if name == "alexnet_2012" else {}
    found = layers(initialized(name, "gaussian", **options))
    ones = {path.rpartition(".")[2] for path, layer in found.items() if (layer.bias == 1).all()}
    assert ones == ({"conv2", "conv4", "conv5", "fc6", "fc7"} if name == "alexnet_2012" else set())
    for path, layer in found.items():
        w = layer.weight.detach()
        assert w.std().item() == pytest.approx(0.01, rel=5 / math.sqrt(2 * w.numel())), path
        assert w.mean().item() == pytest.approx(0, abs=0.05 / math.sqrt(w.numel())), path
        assert path.rpartition(".")[2] in ones or layer.bias.count_nonzero() == 0, path


@pytest.mark.parametrize("init", ["xavier", "gaussian", "kaiming"])
def test_the_same_seed_gives_the_same_weights(init):
    torch.manual_seed(1)
    first = initialized("lenet", init, seed=5).state_dict()
    torch.manual_seed(2)
    same, other = (initialized("lenet", init, seed=seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("weight"))


def test_without_a_generator_the_global_one_is_used():
    net = models.lenet()
    torch.manual_seed(3)
    models.initialize(net, "kaiming")
    first = net.features.conv1.weight.clone()
    torch.manual_seed(3)
    models.initialize(net, "kaiming")
    assert torch.equal(net.features.conv1.weight, first)


def test_weights_stay_trainable():
    net = initialized("lenet", "xavier")
    assert all(p.requires_grad and p.grad_fn is None for p in net.parameters())


def test_unknown_init():
    with pytest.raises(UserError, match="unknown init 'orthogonal': choose xavier, gaussian or kaiming"):
        models.initialize(models.lenet(), "orthogonal")
