"""Attributions against captum, against networks whose answer is known, and the sanity check."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alexnet.explain import grad_cam, integrated_gradients, occlusion
from alexnet.explain.attribution import Windows, rank_correlation
from alexnet.explain.sanity import check, shuffle


@pytest.fixture
def subject(make):
    return make("tiny_alexnet", activation="tanh")


@pytest.fixture
def x(subject):
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    return subject.input(pixels)


CLASSES = torch.tensor([0, 3, 4])


def test_grad_cam_is_that_of_captum(subject, x):
    captum = pytest.importorskip("captum.attr")
    layer = subject.hidden[2]
    module = dict(subject.model.named_modules())[layer.read]
    other = captum.LayerGradCam(subject.model, module).attribute(x, target=CLASSES, relu_attributions=True)
    other = captum.LayerAttribution.interpolate(other, (32, 32), "bilinear")[:, 0]
    torch.testing.assert_close(grad_cam(subject.model, x, CLASSES, layer), other.detach(), rtol=1e-4, atol=1e-6)


def test_integrated_gradients_are_those_of_captum(subject, x):
    captum = pytest.importorskip("captum.attr")
    other, delta = captum.IntegratedGradients(subject.model).attribute(
        x, target=CLASSES, n_steps=64, return_convergence_delta=True
    )
    mine, missing = integrated_gradients(subject.model, x, CLASSES)
    torch.testing.assert_close(mine, other.sum(1).float(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(missing, delta.float(), rtol=1e-2, atol=1e-4)


def test_occlusion_is_that_of_captum(subject, x):
    captum = pytest.importorskip("captum.attr")
    other = captum.Occlusion(lambda x: subject.model(x).softmax(1)).attribute(
        x, sliding_window_shapes=(3, 8, 8), strides=(3, 5, 5), target=CLASSES, baselines=0
    )
    mine = occlusion(subject.model, x, CLASSES, window_px=8, stride_px=5)
    torch.testing.assert_close(mine, other[:, 0].float(), rtol=1e-3, atol=1e-6)


def test_of_a_linear_net_they_are_its_products():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    x = torch.randn(1, 1, 4, 4)
    each, missing = integrated_gradients(model, x, torch.tensor([1]))
    expected = (model[1].weight[1] * x.flatten()).view(1, 4, 4)
    torch.testing.assert_close(each, expected.detach())
    assert missing.abs().item() < 1e-5
    from_one, _ = integrated_gradients(model, x, torch.tensor([1]), torch.ones_like(x))
    torch.testing.assert_close(from_one, (model[1].weight[1].view(4, 4) * (x[0] - 1)).detach())


def test_occlusion_of_the_only_pixel_that_counts():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, 5] = 3.0  # row 1, column 1
    fall = occlusion(model, torch.ones(1, 1, 4, 4), torch.tensor([0]), window_px=1, stride_px=1)
    expected = torch.zeros(4, 4)
    expected[1, 1] = torch.tensor([3.0, 0.0]).softmax(0)[0] - 0.5
    torch.testing.assert_close(fall[0], expected)


def test_windows_fit_the_budget():
    assert Windows.of(32, 1000, 1e12) == Windows(6, 1)
    coarse = Windows.of(224, 700_000_000, 5e10)
    assert coarse.window_px == 45
    assert (-(-(224 - 45) // coarse.stride_px) + 1) ** 2 * 7e8 <= 5e10


def test_rank_correlation():
    a = torch.arange(16.0).view(1, 4, 4)
    assert rank_correlation(a, a) == pytest.approx(1)
    assert rank_correlation(a, a**3) == pytest.approx(1)  # ranks alone count
    assert rank_correlation(a, 15 - a) == pytest.approx(-1)
    assert rank_correlation(a, torch.zeros(1, 4, 4)) != rank_correlation(a, a)  # NaN: nothing to compare


def test_shuffling_keeps_the_values(make):
    model = make("tiny_alexnet").model
    before = [p.clone() for p in model.parameters()]
    shuffle(model, torch.Generator().manual_seed(0))
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values)
        assert old.numel() == 1 or not torch.equal(old, new) or bool((old == old.flatten()[0]).all())


def test_the_check_finds_a_method_that_draws_the_image(subject, x):
    """A method that looks at the image alone keeps its picture; one made of weights loses it."""
    methods = {
        "outlines": lambda model: x.diff(dim=3, append=x[..., -1:]).abs().sum(1),
        "weights": lambda model: next(model.parameters()).flatten()[:1024].view(1, 32, 32),
    }
    before = [p.clone() for p in subject.model.parameters()]
    found = check(
        subject.model, subject.layers, methods, 3, torch.Generator().manual_seed(0), only_last=("outlines",)
    )
    assert found.stages == ("fc6", "fc5", "fc4", "conv3", "conv2", "conv1")
    assert found.by_method["outlines"][-1] == pytest.approx(1)
    assert found.by_method["outlines"][0] != found.by_method["outlines"][0]  # not asked for
    assert found.by_method["weights"][:5] == pytest.approx([1] * 5)  # conv1 comes last
    assert abs(found.by_method["weights"][-1]) < 0.15
    assert all(torch.equal(a, b) for a, b in zip(before, subject.model.parameters(), strict=True))
