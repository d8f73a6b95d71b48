"""First weights against the distributions they are drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from alexnet import models
from alexnet.errors import UserError


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


def test_gaussian_of_the_authors_code_is_wider_in_the_last_convolutions():
    found = layers(initialized("alexnet_2012", "gaussian_source", image_px=63, num_classes=4))
    for path, layer in found.items():
        own = path.rpartition(".")[2]
        w = layer.weight.detach()
        std = 0.03 if own in ("conv3", "conv4", "conv5") else 0.01
        assert w.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * w.numel())), path
        assert layer.bias.unique().tolist() == [1 if own in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0], path


@pytest.mark.parametrize("init", ["xavier", "gaussian", "gaussian_source", "kaiming"])
def test_the_same_seed_gives_the_same_weights(init):
    torch.manual_seed(1)
    first = initialized("lenet", init, seed=5).state_dict()
    torch.manual_seed(2)
    same, other = (initialized("lenet", init, seed=seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("weight"))


def test_batch_norms_begin_anew():
    net = models.cifar_alexnet(image_px=9)
    fresh = {name: t.clone() for name, t in net.state_dict().items() if "norm" in name}
    with torch.no_grad():
        for t in net.state_dict().values():
            t.fill_(7)
    models.initialize(net, "kaiming", torch.Generator().manual_seed(0))
    state = net.state_dict()
    assert len(fresh) == 6 * 5
    assert all(torch.equal(state[name], t) for name, t in fresh.items())
    assert state["features.norm2.running_var"].unique().tolist() == [1]


def smooth_images(n: int, channels: int, px: int) -> torch.Tensor:
    """Noise whose neighbours and channels resemble each other, as those of photographs do."""
    x_NCHW = torch.randn(n, channels, px + 2, px + 2, generator=torch.Generator().manual_seed(0))
    x_NCHW = nn.functional.avg_pool2d(x_NCHW, 3, stride=1)
    return 2 * (x_NCHW + x_NCHW.mean(1, keepdim=True))


def patches_of(x_NCHW: torch.Tensor, side: int) -> np.ndarray:
    """Every square of `side` px of every image, flattened in C, H, W order, in fp64."""
    windows = np.lib.stride_tricks.sliding_window_view(x_NCHW.double().numpy(), (side, side), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x_NCHW.shape[1] * side * side)


@pytest.mark.parametrize(
    ("name", "channels", "filters", "side"),
    [("tiny_alexnet", 3, 32, 5), ("tiny_alexnet", 1, 32, 5), ("cifar_alexnet", 3, 24, 2), ("lenet", 1, 6, 5)],
)
def test_whitened_filters_answer_alike_and_independently(name, channels, filters, side):
    net = initialized(name, "kaiming", in_channels=channels)
    net.features.conv1.bias.data.fill_(3)
    x_NCHW = smooth_images(70, channels, 32)  # more than are taken at once
    models.whiten(net, x_NCHW)
    conv1 = net.features.conv1
    w_OD = conv1.weight.detach().double().flatten(1).numpy()
    half = filters // 2
    assert w_OD.shape == (filters, channels * side * side)
    assert np.array_equal(w_OD[half:], -w_OD[:half])
    assert conv1.bias.count_nonzero() == 0
    patches_ND = patches_of(x_NCHW, side)
    variances = np.linalg.eigvalsh(patches_ND.T @ patches_ND / len(patches_ND))[::-1][:half]
    assert variances[0] > 1.5 * variances[-1]  # there is something to make even
    answers_NH = patches_ND @ w_OD[:half].T
    covariance_HH = answers_NH.T @ answers_NH / len(answers_NH)
    expected_HH = np.diag(variances / (variances + 0.01))  # nearly 1, but for the floor
    assert expected_HH.diagonal().min() > 0.8
    np.testing.assert_allclose(covariance_HH, expected_HH, atol=2e-4)
    with torch.no_grad():  # the layer itself, inside of its border
        answer = conv1(x_NCHW[:1])[0, :, conv1.padding[0], conv1.padding[0]].double().numpy()
    np.testing.assert_allclose(answer, w_OD @ patches_ND[0], atol=1e-4)


def test_filters_beyond_the_components_keep_their_weights():
    net = nn.Sequential(nn.Conv2d(1, 23, 3))
    before = net[0].weight.detach().clone()
    models.whiten(net, smooth_images(4, 1, 12))
    assert torch.equal(net[0].weight[18:], before[18:])  # 9 components and their negatives
    assert torch.equal(net[0].weight[9:18], -net[0].weight[:9])
    assert not torch.equal(net[0].weight[:9], before[:9])
    assert net[0].weight.requires_grad


def test_a_direction_without_variance_is_not_blown_up():
    net = nn.Sequential(nn.Conv2d(1, 18, 3))
    models.whiten(net, torch.ones(3, 1, 8, 8))  # one component of variance 9; the others have none
    norms = net[0].weight.detach().flatten(1).norm(dim=1)
    assert norms[0].item() == pytest.approx(1 / math.sqrt(9.01), rel=1e-4)
    assert norms[1:9].tolist() == pytest.approx([10.0] * 8, rel=1e-3)  # 1 / sqrt(0.01)


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
    with pytest.raises(
        UserError, match="unknown init 'orthogonal': choose xavier, gaussian, gaussian_source or kaiming"
    ):
        models.initialize(models.lenet(), "orthogonal")
