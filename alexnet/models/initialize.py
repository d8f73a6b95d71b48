"""First weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.config import Init
from alexnet.errors import UserError

_PAPER_BIAS_ONE = {"conv2", "conv4", "conv5", "fc6", "fc7"}  # Krizhevsky 2012, section 5
_SOURCE_WIDE = {"conv3", "conv4", "conv5"}
_WHITENING_PART = 64  # images at a time: their patches take many times the images' memory
_WHITENING_FLOOR = 1e-2  # keeps the noise of near-constant directions small
_PATCH_PIXELS = 2**16  # pixels whose patches are in memory at once: 64 images of 32 px


@torch.no_grad()
def initialize(model: nn.Module, init: Init, generator: torch.Generator | None = None) -> None:
    """Fill every convolution and dense layer of `model` with fresh weights, in layer order.

    Batch norms are reset: they change nothing until they have seen images.

    Args:
        model: any network whose layers are `nn.Conv2d` and `nn.Linear`.
        init: `xavier`, uniform with variance 2 / (fan_in + fan_out), biases 0 (Glorot 2010; the tutorial);
            `gaussian`, std 0.01 and biases 0, but 1 in conv2, conv4, conv5 and the hidden dense layers
            fc6 and fc7 of an eight-layer net (Krizhevsky 2012, section 5);
            `gaussian_source`, the same but std 0.03 in conv3, conv4 and conv5 of an eight-layer net, as in
            the authors' code (computerhistory/AlexNet-Source-Code, layers/layers-145.cfg);
            `kaiming`, normal with variance 2 / fan_in, biases 0 (He 2015).
        generator: source of randomness, on the CPU; None: torch's global one.

    Raises:
        UserError: `init` is none of these.
    """
    eight_layers = any(name.endswith("fc8") for name, _ in model.named_modules())
    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_parameters()
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        own_name = name.rpartition(".")[2]
        if init == "xavier":
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        elif init in ("gaussian", "gaussian_source"):
            wide = init == "gaussian_source" and eight_layers and own_name in _SOURCE_WIDE
            nn.init.normal_(layer.weight, std=0.03 if wide else 0.01, generator=generator)
        elif init == "kaiming":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        else:
            raise UserError(f"unknown init {init!r}: choose xavier, gaussian, gaussian_source or kaiming")
        if layer.bias is not None:
            one = init.startswith("gaussian") and eight_layers and own_name in _PAPER_BIAS_ONE
            nn.init.constant_(layer.bias, 1.0 if one else 0.0)


@torch.no_grad()
def whiten(model: nn.Module, x_NCHW: Tensor) -> None:
    """Set the first convolution to the whitened principal components of its inputs, biases 0.

    Half of the filters are the components of largest variance, each divided by its std; the other half are the
    same with the sign turned, as rectifiers lose negative answers (Page 2019; Jordan 2024). Filters beyond twice the
    number of components keep their weights.

    Args:
        model: a network whose first layer with weights is an `nn.Conv2d` without groups.
        x_NCHW: some thousand normalised images.
    """
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    sum_DD, n = torch.zeros(first.weight[0].numel(), first.weight[0].numel(), dtype=torch.float64), 0
    for part_NCHW in torch.split(x_NCHW, max(1, _PATCH_PIXELS // x_NCHW[0, 0].numel())):
        patches_NDP = F.unfold(part_NCHW.float(), first.kernel_size)
        sum_DD += (patches_NDP @ patches_NDP.mT).sum(0)
        n += patches_NDP.shape[0] * patches_NDP.shape[2]
    variance_D, components_DD = torch.linalg.eigh(sum_DD / n)  # ascending
    half = min(first.out_channels // 2, len(variance_D))
    filters_HD = (components_DD / (variance_D + _WHITENING_FLOOR).sqrt()).T.flip(0)[:half]
    filters_HD = filters_HD.to(first.weight)
    first.weight[: 2 * half] = torch.cat([filters_HD, -filters_HD]).view(-1, *first.weight.shape[1:])
    if first.bias is not None:
        first.bias.zero_()
