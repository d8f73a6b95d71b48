"""What sets fine-tuning apart: layers that stay as they are, a rate for each layer, classes of uneven size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexnet.config import Freeze
from alexnet.models import ConvNet
from alexnet.training.optim.build import Optimizers


def set_frozen(model: nn.Module, freeze: Freeze) -> None:
    """Let only the layers learn that `freeze` leaves open; call it after `model.train()`.

    For frozen layers no gradients are computed, and their batch norms keep their running means and variances.
    """
    model.requires_grad_(True)
    for module in _frozen(model, freeze):
        module.requires_grad_(False)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.eval()


def _frozen(model: nn.Module, freeze: Freeze) -> list[nn.Module]:
    if freeze == "none":
        return []
    assert isinstance(model, ConvNet), "other networks cannot be frozen"
    return [model.features] if freeze == "features" else [model.features, *list(model.classifier)[:-1]]


def group_by_layer(optimizers: Optimizers, model: nn.Module, layer_decay: float) -> None:
    """Split the optimizers' groups by layer, the last layer's first, each with its own learning rate.

    A layer's rate is `layer_decay` times that of the layer after it; a norm belongs to the layer before it. Groups of
    their own also let layers begin to learn later: an optimizer's state begins for a whole group at once.

    Args:
        optimizers: those of `model`, before their first step.
        model: the network.
        layer_decay: in (0, 1].
    """
    height = _heights(model)
    for optimizer in optimizers:
        groups = []
        for group in optimizer.param_groups:
            for above in sorted({height[p] for p in group["params"]}):
                own = [p for p in group["params"] if height[p] == above]
                groups.append({**group, "params": own, "lr": group["lr"] * layer_decay**above})
        optimizer.param_groups = sorted(groups, key=lambda group: height[group["params"][0]])


def _heights(model: nn.Module) -> dict[nn.Parameter, int]:
    """How many convolutions and dense layers come after each parameter's own."""
    layer, layers = -1, {}
    for module in model.modules():
        layer += isinstance(module, nn.Conv2d | nn.Linear)
        layers.update(dict.fromkeys(module.parameters(recurse=False), layer))
    return {p: layer - own for p, own in layers.items()}


def class_weights(labels_N: Tensor, num_classes: int) -> Tensor:
    """Weight [K] of each class's images, inverse to how many there are; 1 in the mean over all images."""
    counts_K = torch.bincount(labels_N.cpu(), minlength=num_classes)
    present = int((counts_K > 0).sum())
    return len(labels_N) / (present * counts_K.clamp(min=1).float())
