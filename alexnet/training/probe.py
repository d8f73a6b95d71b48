"""A new last layer that begins as a linear probe: logistic regression on pretrained features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.data import AnyImages
from alexnet.data.split import stratified
from alexnet.distributed import World
from alexnet.evaluation.calibrate import fit_temperature, score
from alexnet.models import ConvNet
from alexnet.runtime import Runtime

_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_HELD_OUT = 0.25
_STEPS = 60
_FEWEST_A_CLASS = 4  # images, to choose the penalty on a part of them
_USUAL_PENALTY = 0.1
_WHERE_ACTIVATIONS_PASS = 2.0  # standardised features moved up by this lie where ReLU and GELU are nearly linear


def fit_last_layer(
    model: ConvNet, images: AnyImages, preprocessing: Preprocessing, runtime: Runtime, *, mirrored: bool
) -> None:
    """Set the last layer of `model` to a linear probe of its pretrained features of `images`.

    These are the features of its last hidden layer but one, which the last hidden layer passes on: the last one knows
    most of the classes of the pretraining and serves others worse (Donahue 2014). Fine-tuning
    that begins so keeps more of the features than with a random last layer (Kumar 2022). The L2 penalty is chosen on
    a quarter of the images, where there are four of each class or more.

    Args:
        model: its other layers are pretrained; it is put in eval mode.
        images: the training images.
        preprocessing: how pixels become the network's input.
        runtime: device and compute dtype; of several ranks rank 0 computes for all.
        mirrored: whether the mirror images are of the same classes, and are taken too.
    """
    last = list(model.classifier)[-1]
    assert isinstance(last, torch.nn.Linear)
    world = runtime.world
    _pass_through(model, images, preprocessing, runtime)

    def solved() -> tuple[Tensor, Tensor]:
        features, alone = [], replace(runtime, world=World())
        for mirror in (False, True)[: 1 + mirrored]:
            with _mirroring(model.to(runtime.device), mirror):
                _, features_ND = score(model, images, preprocessing, alone)
            assert features_ND is not None
            features.append(features_ND)
        return fit(torch.stack(features), images.labels_N, last.out_features)

    weight_KD, bias_K = world.from_main(solved)
    with torch.no_grad():
        last.weight.copy_(weight_KD)
        last.bias.copy_(bias_K)


def _pass_through(model: ConvNet, images: AnyImages, preprocessing: Preprocessing, runtime: Runtime) -> None:
    """Make the last hidden dense layer pass on what it is given, where its shape and its activation let it."""
    layers = list(model.classifier)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, torch.nn.Linear)]
    if len(dense) < 3:
        return
    hidden, *after = layers[dense[-2] : dense[-1]]
    assert isinstance(hidden, torch.nn.Linear)
    passes = any(isinstance(layer, torch.nn.ReLU | torch.nn.GELU) for layer in after)
    if hidden.in_features != hidden.out_features or not passes:
        return
    torch.nn.init.eye_(hidden.weight)
    if hidden.bias is not None:
        torch.nn.init.zeros_(hidden.bias)
    for norm in after:
        if isinstance(norm, torch.nn.BatchNorm1d):
            _standardize(norm, model, images, preprocessing, runtime)


def _standardize(
    norm: torch.nn.BatchNorm1d, model: ConvNet, images: AnyImages, preprocessing: Preprocessing, runtime: Runtime
) -> None:
    """Set `norm` to the mean and standard deviation of what it is given for `images`, its output moved up."""

    def statistics() -> tuple[Tensor, Tensor]:
        with _inputs_of(norm) as seen:
            score(model.to(runtime.device), images, preprocessing, replace(runtime, world=World()))
        features_ND = torch.cat(seen)
        return features_ND.mean(0), features_ND.var(0)

    mean_D, var_D = runtime.world.from_main(statistics)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        norm.running_mean.copy_(mean_D)
        norm.running_var.copy_(var_D)
        norm.weight.fill_(1.0)
        norm.bias.fill_(_WHERE_ACTIVATIONS_PASS)


@contextmanager
def _inputs_of(layer: torch.nn.Module) -> Iterator[list[Tensor]]:
    """Within the block, collects what `layer` is given, on the CPU."""
    seen: list[Tensor] = []

    def keep(_: object, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].float().cpu())

    hook = layer.register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


@contextmanager
def _mirroring(model: ConvNet, mirror: bool) -> Iterator[None]:
    """Within the block, `model` is given the mirror images of its inputs."""

    def flip(_: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (inputs[0].flip(3),) if mirror else None

    hook = model.register_forward_pre_hook(flip)
    try:
        yield
    finally:
        hook.remove()


def fit(features_VND: Tensor, labels_N: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression, its penalty and temperature chosen on held-out images.

    Args:
        features_VND: of V views of each image; those of an image are held out together.
        labels_N: their classes.
        classes: K.

    Returns:
        Weights [K, D] and biases [K].
    """
    V, N, D = features_VND.shape
    every_D = features_VND.reshape(V * N, D)
    mean_D, std_D = every_D.mean(0), every_D.std(0).clamp(min=1e-3)
    scaled_ND, labels = (every_D - mean_D) / std_D, labels_N.repeat(V)
    penalty, temperature = _USUAL_PENALTY, 1.0
    if torch.bincount(labels_N, minlength=classes).min() >= _FEWEST_A_CLASS:
        is_held_out = torch.zeros(N, dtype=torch.bool)
        is_held_out[stratified(labels_N, _HELD_OUT, seed=0)] = True
        penalty, temperature = _choose(scaled_ND, labels, classes, is_held_out.repeat(V))
    weight_KD, bias_K = (values / temperature for values in solve(scaled_ND, labels, classes, penalty))
    weight_KD = weight_KD / std_D
    return weight_KD, bias_K - weight_KD @ mean_D


def _choose(features_ND: Tensor, labels_N: Tensor, classes: int, is_held_out_N: Tensor) -> tuple[float, float]:
    """The penalty and the temperature under which the held-out labels are likeliest."""
    losses = {}
    for penalty in _PENALTIES:
        weight_KD, bias_K = solve(features_ND[~is_held_out_N], labels_N[~is_held_out_N], classes, penalty)
        log_p_NK = (features_ND[is_held_out_N] @ weight_KD.T + bias_K).log_softmax(1)
        temperature = fit_temperature(log_p_NK, labels_N[is_held_out_N])
        losses[penalty, temperature] = float(F.cross_entropy(log_p_NK / temperature, labels_N[is_held_out_N]))
    return min(losses, key=losses.__getitem__)


def solve(features_ND: Tensor, labels_N: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression: weights [K, D] and biases [K] of the least mean loss plus L2 penalty.

    Args:
        features_ND: standardised features.
        labels_N: their classes.
        classes: K.
        penalty: what half the sum of squared weights is multiplied by.
    """
    weight_KD = torch.zeros(classes, features_ND.shape[1], requires_grad=True)
    bias_K = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_KD, bias_K], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = F.cross_entropy(features_ND @ weight_KD.T + bias_K, labels_N) + penalty / 2 * weight_KD.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight_KD.detach(), bias_K.detach()
