"""What all networks share: activations, the size check and the registry of names."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.config import Activation
from alexnet.errors import UserError

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
}


def activation_layer(name: Activation) -> nn.Module:
    """A new activation layer; never in place, so hooks see what a layer was given."""
    if name not in _ACTIVATIONS:
        raise UserError(f"unknown activation {name!r}: choose one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def named(layers: Iterable[tuple[str, nn.Module]]) -> nn.Sequential:
    """`nn.Sequential` whose layers carry the paper's names (conv1 ... fc8)."""
    return nn.Sequential(OrderedDict(layers))


class ConvNet(nn.Module):
    """Convolutional `features`, then a dense `classifier`.

    Args:
        features: turns [N, in_channels, image_px, image_px] into maps.
        classifier: turns the flattened maps, in C, H, W order, into [N, num_classes] scores.
    """

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Class scores [N, K], before softmax."""
        maps_NCHW = self.features(x_NCHW)
        scores_NK: Tensor = self.classifier(_Flatten.apply(maps_NCHW))
        return scores_NK


class _Flatten(torch.autograd.Function):
    """`flatten(1)` whose gradient has the memory layout of the maps, as the layers before compute fastest."""

    @staticmethod
    def forward(ctx: Any, maps_NCHW: Tensor) -> Tensor:
        ctx.shape = maps_NCHW.shape
        ctx.channels_last = maps_NCHW.is_contiguous(memory_format=torch.channels_last)
        return maps_NCHW.flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient_ND: Tensor) -> Tensor:
        layout = torch.channels_last if ctx.channels_last else torch.contiguous_format
        return gradient_ND.view(ctx.shape).contiguous(memory_format=layout)


def maps_px(features: nn.Sequential, image_px: int) -> int:
    """Side of the maps that `features` makes of square images; 0 or less where the image is too small."""
    side = image_px
    for layer in features:
        if isinstance(layer, nn.ZeroPad2d):
            side += layer.padding[0] + layer.padding[1]
        elif isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride, padding = (_side(v) for v in (layer.kernel_size, layer.stride, layer.padding))
            reach = side + 2 * padding - kernel
            if getattr(layer, "ceil_mode", False):
                reach += stride - 1  # a last window that reaches over the edge
            side = reach // stride + 1
            if side < 1:
                return 0
        elif isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            side = _side(layer.output_size)
    return side


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


def check_size(name: str, features: nn.Sequential, image_px: int) -> int:
    """`maps_px`, or a `UserError` naming the smallest size that fits and the network for small images."""
    side = maps_px(features, image_px)
    if side >= 1:
        return side
    smallest = next(px for px in range(image_px + 1, 1024) if maps_px(features, px) >= 1)
    hint = "" if name == "tiny_alexnet" else ", or use tiny_alexnet, made for 32 px images"
    raise UserError(
        f"{name} needs images of at least {smallest} px, not {image_px}: enlarge them with --image-px{hint}"
    )


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a network beside its code; all figures are for its native input."""

    native_px: int
    """Side of the images it was designed for."""
    native_channels: int
    native_classes: int
    parameters: int
    """Learned parameters at the native input."""
    lr: float
    """Learning rate to begin with: SGD, momentum 0.9, batch 128."""
    mean: tuple[float, ...]
    """Channel means of its native data, pixels in 0..1."""
    std: tuple[float, ...]
    source: str


_REGISTRY: dict[str, tuple[Callable[..., ConvNet], ModelFacts]] = {}


def register(facts: ModelFacts) -> Callable[[Callable[..., ConvNet]], Callable[..., ConvNet]]:
    """Make a network's function known under its name."""

    def add(build: Callable[..., ConvNet]) -> Callable[..., ConvNet]:
        _REGISTRY[build.__name__] = (build, facts)
        return build

    return add


def names() -> tuple[str, ...]:
    """The names of all networks."""
    return tuple(_REGISTRY)


def facts(name: str) -> ModelFacts:
    """What is known of the network `name`; raises `UserError` for an unknown one."""
    return _entry(name)[1]


def create(name: str, **options: Any) -> ConvNet:
    """Build the network `name`; `options` are those of its function, e.g. `num_classes`.

    Raises:
        UserError: the name or an option is unknown, or the images are too small for the network.
    """
    build = _entry(name)[0]
    unknown = sorted(set(options) - set(inspect.signature(build).parameters))
    if unknown:
        raise UserError(f"{name} takes no option {', '.join(unknown)}")
    return build(**options)


def _entry(name: str) -> tuple[Callable[..., ConvNet], ModelFacts]:
    if name not in _REGISTRY:
        raise UserError(f"unknown model {name!r}: choose one of {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def has_batch_norm(model: nn.Module) -> bool:
    """Whether `model` uses batch norm, so that training needs two images or more at once."""
    return any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in model.modules())


def takes_images(model: nn.Module, in_channels: int, image_px: int) -> bool:
    """Whether images of a side of `image_px` can be given to `model`, tried on the meta device."""
    meta = copy.deepcopy(model).to("meta").eval()
    try:
        meta(torch.empty(1, in_channels, image_px, image_px, device="meta"))
    except RuntimeError:  # a map without pixels, or not as many of them as the dense layers take
        return False
    return True


def count_parameters(model: nn.Module) -> int:
    """Learned parameters of `model`."""
    return sum(p.numel() for p in model.parameters())


def count_macs(model: nn.Module, in_channels: int, image_px: int) -> int:
    """Multiply-adds of one image's forward pass in convolutions and dense layers, counted on the meta device."""
    macs = 0

    def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal macs
        assert isinstance(layer.weight, Tensor)
        macs += output[0].numel() * layer.weight[0].numel()

    meta = copy.deepcopy(model).to("meta").eval()
    for layer in meta.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    meta(torch.empty(1, in_channels, image_px, image_px, device="meta"))
    return macs
