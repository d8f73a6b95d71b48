"""The sanity check of Adebayo 2018: an explanation of what was learned must vanish when that is destroyed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet.explain.attribution import rank_correlation
from alexnet.explain.layers import Layer

Method = Callable[[nn.Module], Tensor]
"""Takes a network, gives its attributions [N, H, W] of fixed images and classes."""


@dataclass(frozen=True)
class Sanity:
    """Rank correlations of attributions with those of a network whose weights were destroyed, in -1..1."""

    stages: tuple[str, ...]
    """The layer at which each stage arrived: it and all behind it are destroyed; the last stage is the whole net."""
    by_method: Mapping[str, tuple[float, ...]]
    """A correlation a stage; NaN where an attribution is the same for all pixels."""
    n: int
    """Images it is the mean over."""


def check(
    model: nn.Module,
    layers: Sequence[Layer],
    methods: Mapping[str, Method],
    n: int,
    generator: torch.Generator,
    only_last: Sequence[str] = (),
) -> Sanity:
    """Destroy the weights layer by layer, from the last to the first, and compare attributions with the original.

    Args:
        model: the network; a copy is destroyed.
        layers: all of its layers.
        methods: by name.
        n: images that the methods look at.
        generator: decides how weights are shuffled.
        only_last: methods that cost too much for each stage, and are asked for the whole net alone.
    """
    original = {name: method(model) for name, method in methods.items()}
    destroyed = copy.deepcopy(model)
    modules = dict(destroyed.named_modules())
    order = list(reversed(layers))
    found: dict[str, list[float]] = {name: [] for name in methods}
    for i, layer in enumerate(order):
        shuffle(modules[layer.path], generator)
        if i == len(order) - 1:
            shuffle(destroyed, generator)  # norms too
        for name, method in methods.items():
            if name in only_last and i < len(order) - 1:
                found[name].append(float("nan"))
            else:
                found[name].append(rank_correlation(original[name], method(destroyed)))
    return Sanity(tuple(layer.name for layer in order), {name: tuple(values) for name, values in found.items()}, n)


def shuffle(module: nn.Module, generator: torch.Generator) -> None:
    """Permute the values of each parameter and of each norm's statistics among themselves.

    All sizes stay what they were, and nothing that was learned about where they belong.
    """
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point() and tensor.numel() > 1:
                order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                tensor.copy_(tensor.flatten()[order].view(tensor.shape))
