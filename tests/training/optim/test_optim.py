"""Schedules at points worked out by hand, optimisers and the weight average against plain loops."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from alexnet import models
from alexnet.config import OptimizerConfig, Recipe, ScheduleConfig
from alexnet.training.optim.build import build_optimizers
from alexnet.training.optim.ema import WeightAverage
from alexnet.training.optim.muon import Muon
from alexnet.training.optim.schedule import lr_scale, plateau_drops, set_lr
from alexnet.training.optim.sgd_2012 import Sgd2012

PEAK = 0.4


def rate(epoch: float, val_errors: tuple[float, ...] = (), epochs: int = 8, **schedule: object) -> float:
    recipe = Recipe(name="x", epochs=epochs, optimizer=OptimizerConfig(lr=PEAK), schedule=ScheduleConfig(**schedule))
    return recipe.optimizer.lr * lr_scale(recipe, epoch, val_errors)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        ({"name": "constant"}, {0: 0.4, 3.7: 0.4, 8: 0.4}),
        ({"name": "constant", "warmup_epochs": 2.0}, {0: 0, 0.5: 0.1, 1: 0.2, 2: 0.4, 8: 0.4}),
        # up over a quarter of the 8 epochs, down over the rest
        ({"name": "one_cycle"}, {0: 0, 1: 0.2, 2: 0.4, 5: 0.2, 6.5: 0.1, 8: 0}),
        ({"name": "one_cycle", "warmup_epochs": 4.0}, {0: 0, 2: 0.2, 4: 0.4, 6: 0.2, 8: 0}),
        ({"name": "one_cycle", "warmup_epochs": 0.0}, {0: 0.4, 4: 0.2, 8: 0}),
        ({"name": "one_cycle", "warmup_epochs": 8.0}, {0: 0, 4: 0.2, 8: 0}),
        # 0.4 * (1 + cos(pi / 4)) / 2 = 0.4 * 0.853553
        ({"name": "cosine"}, {0: 0.4, 2: 0.3414214, 4: 0.2, 6: 0.0585786, 8: 0}),
        ({"name": "cosine", "warmup_epochs": 2.0}, {0: 0, 1: 0.2, 2: 0.4, 5: 0.2, 8: 0}),
        ({"name": "step"}, {0: 0.4, 3.99: 0.4, 4: 0.04, 5.99: 0.04, 6: 0.004, 8: 0.004}),
        ({"name": "step", "step_epochs": (1, 3), "factor": 0.5}, {0.99: 0.4, 1: 0.2, 2.99: 0.2, 3: 0.1, 7: 0.1}),
        ({"name": "step", "step_epochs": (5,), "warmup_epochs": 4.0}, {1: 0.1, 4: 0.4, 5: 0.04}),
        ({"name": "plateau"}, {0: 0.4, 8: 0.4}),
        ({"name": "plateau", "warmup_epochs": 1.0}, {0: 0, 0.5: 0.2, 1: 0.4}),
    ],
)
def test_learning_rate(schedule, points):
    got = {epoch: rate(epoch, **schedule) for epoch in points}
    assert got == pytest.approx(points, abs=1e-7)


def test_learning_rate_of_the_plateau_schedule():
    stuck = (0.5,) * 6  # the first is a record, five more are not
    assert rate(5, stuck[:5], name="plateau") == pytest.approx(0.4)
    assert rate(6, stuck, name="plateau") == pytest.approx(0.04)
    assert rate(6, stuck, name="plateau", factor=0.5) == pytest.approx(0.2)
    assert rate(6, stuck, name="plateau", patience_epochs=2) == pytest.approx(0.004)
    assert rate(6, stuck, name="plateau", patience_epochs=1) == pytest.approx(0.4e-3)  # three drops, as the paper
    assert rate(6, stuck, name="plateau", patience_epochs=1, max_drops=1) == pytest.approx(0.04)
    assert rate(6, stuck, name="plateau", patience_epochs=1, max_drops=0) == pytest.approx(0.4)


def test_only_the_plateau_schedule_looks_at_errors():
    for name in ("constant", "step", "cosine", "one_cycle"):
        assert rate(3, (0.5,) * 20, name=name) == rate(3, (), name=name)


@pytest.mark.parametrize(
    ("val_errors", "patience_epochs", "drops"),
    [
        ([], 1, 0),
        ([0.9], 1, 0),
        ([0.9, 0.9], 1, 1),  # no better is not better
        ([0.9, 0.8, 0.7, 0.6], 1, 0),
        ([0.5, 0.6, 0.4, 0.5, 0.3], 2, 0),  # each record starts the wait afresh
        ([0.5, 0.6, 0.6], 2, 1),
        ([0.5, 0.6, 0.6, 0.6], 2, 1),  # and so does each drop
        ([0.5, 0.6, 0.6, 0.6, 0.6], 2, 2),
        ([0.5, 0.6, 0.6, 0.6, 0.4, 0.6], 2, 1),
        ([0.5, 0.6, 0.55, 0.52], 3, 1),  # better than the epoch before, not than the best
        ([0.5, 0.5, 0.5, 0.5, 0.5], 1, 3),  # and no more than max_drops
        ([math.nan, math.nan, 0.5], 2, 1),
    ],
)
def test_plateau_drops(val_errors, patience_epochs, drops):
    assert plateau_drops(val_errors, patience_epochs, max_drops=3) == drops


class Pair(nn.Module):
    """A convolution and a dense layer, each with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2)
        self.fc = nn.Linear(4, 5)


def run(config: OptimizerConfig, lrs: list[float]) -> tuple[dict[str, np.ndarray], list, dict[str, np.ndarray]]:
    """Step through drawn gradients: the weights before, the gradients of each step, the weights after."""
    torch.manual_seed(0)
    model = Pair()
    before = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    optimizers = build_optimizers(model, config)
    gradients = []
    for lr in lrs:
        set_lr(optimizers, lr / config.lr)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        gradients.append({name: p.grad.double().numpy() for name, p in model.named_parameters()})
        for optimizer in optimizers:
            optimizer.step()
    return before, gradients, {name: p.detach().double().numpy() for name, p in model.named_parameters()}


def same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name in got:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


LRS = [0.1, 0.1, 0.05, 0.2]


@pytest.mark.parametrize("decay_biases", [False, True])
@pytest.mark.parametrize(
    ("options", "momentum", "nesterov"),
    [
        ({"momentum": 0.0}, 0.0, False),
        ({"momentum": 0.8, "nesterov": False}, 0.8, False),
        ({"momentum": 0.8, "nesterov": True}, 0.8, True),
        ({"momentum": 0.8}, 0.8, True),
        ({}, 0.9, True),
    ],
)
def test_sgd_against_a_plain_loop(options, momentum, nesterov, decay_biases):
    weight_decay = 0.3
    config = OptimizerConfig(name="sgd", weight_decay=weight_decay, decay_biases=decay_biases, **options)
    w, gradients, after = run(config, LRS)
    velocity = {name: np.zeros_like(value) for name, value in w.items()}
    for lr, gradient in zip(LRS, gradients, strict=True):
        for name in w:
            decay = weight_decay if decay_biases or name.endswith("weight") else 0.0
            g = gradient[name] + decay * w[name]
            velocity[name] = momentum * velocity[name] + g
            w[name] = w[name] - lr * (g + momentum * velocity[name] if nesterov else velocity[name])
    same(after, w)


def constant_gradient(optimizer: torch.optim.Optimizer, w: torch.Tensor, lrs: list[float]) -> list[float]:
    """The weight after each step, its gradient always 1."""
    trace = []
    for lr in lrs:
        optimizer.param_groups[0]["lr"] = lr
        w.grad = torch.ones_like(w)
        optimizer.step()
        trace.append(w.item())
    return trace


def test_a_first_step_that_is_skipped_leaves_no_trace():
    """As a gradient scaler skips it: by telling the fused step that a gradient is not finite."""
    model = nn.Linear(3, 2)
    (optimizer,) = build_optimizers(model, OptimizerConfig(name="sgd", lr=0.1))
    before = [p.clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.full_like(p, float("inf"))
    optimizer.grad_scale, optimizer.found_inf = None, torch.tensor(1.0)
    optimizer.step()
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    assert all((optimizer.state[p]["momentum_buffer"] == 0).all() for p in model.parameters())


def test_the_papers_rule_on_a_trace_by_hand_and_where_torchs_differs():
    """w = 1, gradient 1, momentum 0.9, decay 0.1, rate 0.1 twice, then 0.01.

    v1 = -0.1 * 0.1 * 1 - 0.1                     = -0.11       w = 0.89
    v2 = 0.9 * -0.11 - 0.1 * 0.1 * 0.89 - 0.1     = -0.2079     w = 0.6821
    v3 = 0.9 * -0.2079 - 0.1 * 0.01 * 0.6821 - 0.01 = -0.1977921  w = 0.4843079

    torch: b3 = 0.9 * 2.079 + 0.06821 + 1 = 2.93931, and w = 0.6821 - 0.01 * 2.93931 = 0.6527069.
    """
    lrs = [0.1, 0.1, 0.01]
    ours, theirs = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    paper = constant_gradient(Sgd2012([ours], lr=0.1, momentum=0.9, weight_decay=0.1), ours, lrs)
    sgd = constant_gradient(torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=0.1), theirs, lrs)
    assert paper == pytest.approx([0.89, 0.6821, 0.4843079], abs=1e-12)
    assert sgd == pytest.approx([0.89, 0.6821, 0.6527069], abs=1e-12)


def test_the_papers_rule_goes_on_at_the_old_pace_when_the_rate_drops():
    """Without decay and with gradient 1 the pace is lr / (1 - momentum): 1 a step at 0.1, 0.1 a step at 0.01."""
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    trace = constant_gradient(Sgd2012([w], lr=0.1, momentum=0.9), w, [0.1] * 400 + [0.01] * 400)
    paces = [before - after for before, after in itertools.pairwise(trace)]
    assert paces[398] == pytest.approx(1)
    assert paces[399] == pytest.approx(0.9 * 1 + 0.01)
    assert paces[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("decay_biases", [False, True])
@pytest.mark.parametrize("bias_lr", [None, 0.2])
@pytest.mark.parametrize("momentum", [None, 0.0, 0.8])
def test_the_papers_rule_against_a_plain_loop(momentum, bias_lr, decay_biases):
    weight_decay, kept = 0.3, 0.9 if momentum is None else momentum
    config = OptimizerConfig(
        name="sgd_2012",
        lr=0.1,
        bias_lr=bias_lr,
        weight_decay=weight_decay,
        momentum=momentum,
        decay_biases=decay_biases,
    )
    w, gradients, after = run(config, LRS)
    velocity = {name: np.zeros_like(value) for name, value in w.items()}
    for weight_lr, gradient in zip(LRS, gradients, strict=True):
        for name in w:
            bias = name.endswith("bias")
            lr = 2 * weight_lr if bias and bias_lr else weight_lr  # the schedule scales both alike
            decay = 0.0 if bias and not decay_biases else weight_decay
            velocity[name] = kept * velocity[name] - decay * lr * w[name] - lr * gradient[name]
            w[name] = w[name] + velocity[name]
    same(after, w)


def test_at_one_rate_the_papers_rule_is_torchs():
    classical = OptimizerConfig(name="sgd", momentum=0.8, nesterov=False, weight_decay=0.3)
    paper = OptimizerConfig(name="sgd_2012", momentum=0.8, weight_decay=0.3)
    same(run(paper, [0.1] * 4)[2], run(classical, [0.1] * 4)[2])


def test_the_papers_rule_leaves_parameters_without_gradients_alone():
    first, second = (torch.ones(3, requires_grad=True) for _ in range(2))
    optimizer = Sgd2012([first, second], lr=0.1, weight_decay=0.5)
    optimizer.step()
    assert not optimizer.state
    first.grad = torch.ones(3)
    optimizer.step()
    assert second.tolist() == [1, 1, 1]
    assert first.tolist() == pytest.approx([0.85] * 3)


@pytest.mark.parametrize("decay_biases", [False, True])
@pytest.mark.parametrize("betas", [None, (0.7, 0.8)])
def test_adamw_against_a_plain_loop(betas, decay_biases):
    weight_decay = 0.3
    config = OptimizerConfig(name="adamw", weight_decay=weight_decay, decay_biases=decay_biases, betas=betas)
    w, gradients, after = run(config, LRS)
    b1, b2 = betas or (0.9, 0.999)
    m = {name: np.zeros_like(value) for name, value in w.items()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    for t, (lr, gradient) in enumerate(zip(LRS, gradients, strict=True), start=1):
        for name in w:
            g = gradient[name]
            if decay_biases or name.endswith("weight"):
                w[name] = w[name] * (1 - lr * weight_decay)  # decoupled: not part of the moments
            m[name] = b1 * m[name] + (1 - b1) * g
            v[name] = b2 * v[name] + (1 - b2) * g**2
            w[name] = w[name] - lr * (m[name] / (1 - b1**t)) / (np.sqrt(v[name] / (1 - b2**t)) + 1e-8)
    same(after, w)


def names_in(model: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    inside = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in inside}


HIDDEN = {
    "tiny_alexnet": ["features.conv2", "features.conv3", "classifier.fc4", "classifier.fc5"],
    "cifar_alexnet": [*(f"features.conv{i}" for i in range(2, 6)), "classifier.fc6", "classifier.fc7"],
    "lenet": ["features.conv2", "classifier.fc3", "classifier.fc4"],
    "alexnet_2012": [*(f"features.conv{i}" for i in range(2, 6)), "classifier.fc6", "classifier.fc7"],
}


@pytest.mark.parametrize("name", HIDDEN)
def test_muon_takes_the_weights_between_the_first_and_the_last(name):
    with torch.device("meta"):
        model = models.create(name)
    muon, sgd = build_optimizers(model, OptimizerConfig(name="muon"))
    assert isinstance(muon, Muon)
    assert isinstance(sgd, torch.optim.SGD)
    assert names_in(model, muon) == {f"{layer}.weight" for layer in HIDDEN[name]}
    assert names_in(model, sgd) == {name for name, _ in model.named_parameters()} - names_in(model, muon)


def test_what_muon_leaves_to_sgd_takes_its_own_rate_and_momentum():
    model = models.cifar_alexnet()
    config = OptimizerConfig(name="muon", lr=0.3, other_lr=0.2, momentum=0.5, nesterov=False, weight_decay=0.1)
    muon, sgd = build_optimizers(model, config)
    (hidden,) = muon.param_groups
    assert (hidden["lr"], hidden["momentum"], hidden["nesterov"], hidden["weight_decay"]) == (0.3, 0.5, False, 0.1)
    for group, ndim, decay in zip(sgd.param_groups, ({2, 4}, {1}), (0.1, 0.0), strict=True):
        assert {p.ndim for p in group["params"]} == ndim
        assert (group["lr"], group["momentum"], group["nesterov"]) == (0.2, 0.9, True)
        assert group["weight_decay"] == decay  # neither biases nor norms


def test_what_muon_leaves_to_sgd_takes_its_own_decay():
    config = OptimizerConfig(name="muon", weight_decay=0.1, other_weight_decay=0.25)
    muon, sgd = build_optimizers(models.cifar_alexnet(), config)
    assert [group["weight_decay"] for group in muon.param_groups] == [0.1]
    assert [group["weight_decay"] for group in sgd.param_groups] == [0.25, 0.0]
    for none in (0.0, None):
        _, sgd = build_optimizers(models.cifar_alexnet(), replace(config, other_weight_decay=none))
        assert [group["weight_decay"] for group in sgd.param_groups] == [0.1 if none is None else 0.0, 0.0]


def test_muon_defaults():
    muon, sgd = build_optimizers(models.lenet(), OptimizerConfig(name="muon", lr=0.25, weight_decay=0.02))
    (hidden,) = muon.param_groups
    assert (hidden["lr"], hidden["momentum"], hidden["nesterov"], hidden["weight_decay"]) == (0.25, 0.9, True, 0.02)
    assert [group["lr"] for group in sgd.param_groups] == [0.25, 0.25]


def test_a_net_without_hidden_layers_leaves_muon_nothing_to_do():
    (sgd,) = build_optimizers(nn.Sequential(nn.Linear(3, 2)), OptimizerConfig(name="muon"))
    assert isinstance(sgd, torch.optim.SGD)


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("decay_biases", [False, True])
def test_every_parameter_is_in_one_group_with_its_decay(name, decay_biases):
    model = models.lenet()
    config = OptimizerConfig(name=name, weight_decay=0.125, decay_biases=decay_biases)
    groups = [group for optimizer in build_optimizers(model, config) for group in optimizer.param_groups]
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(decay) == len(list(model.parameters()))
    for path, p in model.named_parameters():
        assert decay[id(p)] == (0.125 if decay_biases or path.endswith("weight") else 0.0), path


def test_frozen_parameters_are_left_out():
    model = models.lenet()
    model.features.requires_grad_(False)
    (sgd,) = build_optimizers(model, OptimizerConfig())
    assert names_in(model, sgd) == {name for name, _ in model.named_parameters() if name.startswith("classifier")}


def test_set_lr_scales_the_peak_of_every_group():
    optimizers = build_optimizers(models.lenet(), OptimizerConfig(name="muon", lr=0.5, other_lr=0.125))
    for scale in (0.25, 1.0, 0.0, 0.5):  # of the peak, not of the rate before
        set_lr(optimizers, scale)
        rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
        assert rates == [0.5 * scale, 0.125 * scale, 0.125 * scale]


def test_peaks_are_kept_with_the_state():
    config = OptimizerConfig(name="muon", lr=0.5, other_lr=0.125)
    before = build_optimizers(models.lenet(), config)
    set_lr(before, 0.25)
    after = build_optimizers(models.lenet(), config)
    for optimizer, kept in zip(after, before, strict=True):
        optimizer.load_state_dict(kept.state_dict())
    set_lr(after, 0.5)
    assert [group["lr"] for optimizer in after for group in optimizer.param_groups] == [0.25, 0.0625, 0.0625]


@pytest.fixture
def with_buffers() -> nn.Module:
    """Two parameters of batch normalisation, two floating buffers, and one that counts in integers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def shake(model: nn.Module) -> None:
    with torch.no_grad():
        for t in model.state_dict().values():
            t.add_(torch.randn(t.shape) if t.is_floating_point() else 1)


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in model.state_dict().items()}


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_weight_average_against_a_plain_loop(with_buffers, decay):
    average = WeightAverage(with_buffers, decay)
    expected = {name: t.double() for name, t in copies(with_buffers).items()}
    for step in range(1, 20):
        shake(with_buffers)
        average.update(step)
        keep = min(decay, (1 + step) / (10 + step))  # 2/11, 3/12, ...: the first weights are forgotten
        for name, t in with_buffers.state_dict().items():
            expected[name] = keep * expected[name] + (1 - keep) * t.double()
    average.swap()
    for name, t in with_buffers.state_dict().items():
        if t.is_floating_point():
            torch.testing.assert_close(t.double(), expected[name], rtol=1e-5, atol=1e-6, msg=name)
        else:
            assert t == 19  # counts are not averaged


def test_one_step_of_the_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(11.0)
    average = WeightAverage(model, 0.9)
    model.weight.data.fill_(0.0)
    average.update(1)
    assert average.average[0].item() == pytest.approx(2.0)  # 11 * 2/11
    average.update(2)
    assert average.average[0].item() == pytest.approx(0.5)  # times 3/12
    assert model.weight.item() == 0.0


def test_swapping_twice_changes_nothing(with_buffers):
    average = WeightAverage(with_buffers, 0.5)
    shake(with_buffers)
    average.update(1)
    weights, mean = copies(with_buffers), [t.clone() for t in average.average]
    average.swap()
    assert not torch.equal(with_buffers[0].weight, weights["0.weight"])
    assert not torch.equal(with_buffers[1].running_mean, weights["1.running_mean"])  # buffers as well
    assert torch.equal(with_buffers[0].weight, mean[0])
    average.swap()
    assert all(torch.equal(t, weights[name]) for name, t in with_buffers.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(average.average, mean, strict=True))


def test_a_kept_average_is_continued(with_buffers):
    first = WeightAverage(with_buffers, 0.5)
    shake(with_buffers)
    first.update(1)
    second = WeightAverage(with_buffers, 0.5)
    second.load(first.average)
    shake(with_buffers)
    first.update(2)
    second.update(2)
    assert all(torch.equal(a, b) for a, b in zip(first.average, second.average, strict=True))


def test_the_average_follows_what_the_optimiser_does():
    model = models.lenet()
    average = WeightAverage(model, 0.5)
    (sgd,) = build_optimizers(model, OptimizerConfig(lr=0.1))
    before = model.classifier.fc5.weight.detach().clone()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    sgd.step()
    average.update(10_000)
    average.swap()
    torch.testing.assert_close(
        model.classifier.fc5.weight.detach(),
        before - 0.5 * 0.1 * (1.9 + 5e-4 * 1.9 * before),  # half way; Nesterov's first step is 1 + 0.9 gradients
        rtol=1e-5,
        atol=1e-6,
    )
