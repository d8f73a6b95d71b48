"""A network in the form that exporters take."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.data.dataset import AnyImages
from alexnet.data.transforms.augment import Normalizer
from alexnet.evaluation import Classifier
from alexnet.evaluation.calibrate import with_temperature
from alexnet.evaluation.evaluate import log_probabilities
from alexnet.evaluation.views import image_views
from alexnet.models import ConvNet
from alexnet.models._build import maps_px
from alexnet.models._response_norm import ResponseNorm
from alexnet.models._source_2012 import TowersNorm

EXAMPLE_IMAGES = 2
"""Images an exporter is shown: with one it takes the batch for fixed."""

_BATCH = 64


class OperatorNorm(nn.Module):
    """Response normalisation as ONNX's operator LRN, over the maps or over each half of them."""

    def __init__(self, alpha: float, k: float, parts: int) -> None:
        super().__init__()
        self.k = k
        self.alpha = alpha  # of the sum over 5 maps; ONNX divides its own by their number
        self.k = k
        self.parts = parts

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Maps of the same shape; for exporters alone, as this computes nothing."""
        attributes: dict[str, Any] = {"alpha": 5 * self.alpha, "beta": 0.75, "bias": self.k, "size": 5}
        parts = [
            torch.onnx.ops.symbolic("LRN", [part], attributes, dtype=part.dtype, shape=part.shape, version=13)
            for part in x_NCHW.chunk(self.parts, dim=1)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class DecomposedNorm(nn.Module):
    """Response normalisation as a 1 x 1 convolution over squares, and roots: operators that every runtime has."""

    near_CC11: Tensor

    def __init__(self, alpha: float, k: float, parts: int, maps: int) -> None:
        super().__init__()
        self.k = k
        self.alpha = alpha
        self.k = k
        map_C = torch.arange(maps)
        near_CC = (map_C[:, None] - map_C).abs() <= 2
        part_C = map_C * parts // maps
        self.register_buffer("near_CC11", (near_CC & (part_C[:, None] == part_C)).float()[:, :, None, None])

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Maps of the same shape."""
        total_NCHW = self.k + self.alpha * nn.functional.conv2d(x_NCHW * x_NCHW, self.near_CC11)
        return x_NCHW / (total_NCHW.sqrt() * total_NCHW.sqrt().sqrt())


class Windows(nn.Module):
    """Adaptive pooling whose windows differ in size, one after the other; exporters know none of it."""

    def __init__(self, windows: list[tuple[int, int]], *, largest: bool) -> None:
        super().__init__()
        self.windows = windows
        self.largest = largest

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The largest or the mean of each window, rows and columns being divided alike."""
        rows = []
        for top, bottom in self.windows:
            cells = [x_NCHW[:, :, top:bottom, left:right] for left, right in self.windows]
            rows.append(torch.stack([c.amax((2, 3)) if self.largest else c.mean((2, 3)) for c in cells], dim=-1))
        return torch.stack(rows, dim=2)


def fixed_pool(layer: nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d, side: int) -> nn.Module:
    """The same pooling of maps of `side` pixels, whose windows are then known."""
    size: Any = layer.output_size
    outputs = size[0] if isinstance(size, tuple) else size
    windows = [(i * side // outputs, -(-(i + 1) * side // outputs)) for i in range(outputs)]
    kernels = {end - begin for begin, end in windows}
    strides = {after[0] - before[0] for before, after in itertools.pairwise(windows)} or {1}
    largest = isinstance(layer, nn.AdaptiveMaxPool2d)
    if len(kernels) > 1 or len(strides) > 1 or 0 in strides:
        return Windows(windows, largest=largest)
    (kernel,), (stride,) = kernels, strides
    if kernel == stride == 1:
        return nn.Identity()
    return nn.MaxPool2d(kernel, stride) if largest else nn.AvgPool2d(kernel, stride)


def prepared(classifier: Classifier, *, operators: bool) -> nn.Module:
    """A copy of the network on the CPU, in eval mode, of layers that exporters can write.

    Args:
        classifier: the network.
        operators: write it as ONNX's LRN; False: as convolutions and roots.
    """
    model = copy.deepcopy(classifier.model).cpu().eval().to(memory_format=torch.contiguous_format)
    if not isinstance(model, ConvNet):
        return model
    maps, before = 0, nn.Sequential()
    for name, layer in list(model.features.named_children()):
        if isinstance(layer, nn.Conv2d):
            maps = layer.out_channels
        if isinstance(layer, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
            side = maps_px(before, classifier.card.preprocessing.image_px)
            setattr(model.features, name, fixed_pool(layer, side))
        before.append(layer)
        if isinstance(layer, ResponseNorm | TowersNorm):
            alpha, k, parts = (1e-4 / 5, 2.0, 2) if isinstance(layer, TowersNorm) else (layer.alpha, layer.k, 1)
            norm = OperatorNorm(alpha, k, parts) if operators else DecomposedNorm(alpha, k, parts, maps)
            setattr(model.features, name, norm)
    return model if type(model) is not ConvNet else _Plain(model)


class _Plain(nn.Module):
    """A network of ours whose flattening is the usual one: exporters know no gradients."""

    def __init__(self, model: ConvNet) -> None:
        super().__init__()
        self.features = model.features
        self.classifier = model.classifier

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.classifier(self.features(x_NCHW).flatten(1))
        return logits_NK


def example_input(classifier: Classifier) -> Tensor:
    """[2, C, H, W] of the network's size, for exporters to follow; nothing is checked on it."""
    how = classifier.card.preprocessing
    generator = torch.Generator().manual_seed(0)
    return torch.randn(EXAMPLE_IMAGES, how.in_channels, how.image_px, how.image_px, generator=generator)


def has_response_norm(classifier: Classifier) -> bool:
    """Whether the network normalises across maps."""
    return any(isinstance(layer, ResponseNorm | TowersNorm) for layer in classifier.model.modules())


def probabilities(classifier: Classifier, squares: AnyImages) -> Tensor:
    """What the package itself answers: calibrated probabilities [N, K] of prepared images."""
    log_p_NK = log_probabilities(classifier.model, squares, classifier.card.preprocessing, classifier.runtime)
    return with_temperature(log_p_NK, classifier.card.calibration).exp().cpu()


def logits(classifier: Classifier, x_NCHW: Tensor) -> Tensor:
    """What the network itself computes of normalised images: [N, K]."""
    with torch.inference_mode():
        return torch.cat([classifier.model(part).float() for part in torch.split(x_NCHW, _BATCH)]).cpu()


def normalized(classifier: Classifier, squares: AnyImages) -> Tensor:
    """[N, C, H, W]: prepared images, cut and normalised."""
    how = classifier.card.preprocessing
    normalize = Normalizer(how, torch.device("cpu"), torch.float32)
    return torch.cat(
        [
            normalize(view_NHWC).contiguous()
            for part_NHWC in squares.parts(_BATCH)
            for view_NHWC in image_views(part_NHWC, 1, how.image_px)
        ]
    )


def scale_and_shift(classifier: Classifier) -> tuple[list[float], list[float]]:
    """For each channel, what levels 0..255 are multiplied by and what is then added."""
    how = classifier.card.preprocessing
    scale = [1 / (255 * std) for std in how.std]
    return scale, [-mean / std for mean, std in zip(how.mean, how.std, strict=True)]


def facts(classifier: Classifier) -> dict[str, Any]:
    """What travels with an export beside the weights, as plain JSON values."""
    card = classifier.card
    how = card.preprocessing
    return {
        "model": card.model,
        "options": card.options,
        "classes": list(card.class_names),
        "temperature": 1.0 if card.calibration is None else card.calibration.temperature,
        "preprocessing": {
            "image_px": how.image_px,
            "resize_px": how.square_px,
            "in_channels": how.in_channels,
            "mean": list(how.mean),
            "std": list(how.std),
            "fit": how.fit,
            "interpolation": "bilinear, antialiased",
        },
    }
