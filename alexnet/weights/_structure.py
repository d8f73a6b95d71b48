"""A net's steps, compared with those of a network of ours: shapes alone would let other nets through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

from torch import nn

from alexnet.models import ConvNet
from alexnet.models._response_norm import ResponseNorm
from alexnet.weights.foreign.net import Step

_FUNCTIONS = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.ELU: "elu",
    nn.LeakyReLU: "leaky relu",
    nn.GELU: "gelu",
}
_IGNORED = (nn.Dropout, nn.AdaptiveAvgPool2d)  # the latter keeps maps of 6 px, which the dense layer asks for
_SAME = 1e-3  # relative; files hold fp32


def steps_of(model: ConvNet) -> list[Step] | None:
    """The steps of `model`; None where it has layers that no other framework's AlexNet has."""
    steps: list[Step] = []
    far_padding = 0
    for name, layer in (*model.features.named_children(), *model.classifier.named_children()):
        function = next((word for kind, word in _FUNCTIONS.items() if type(layer) is kind), None)
        if isinstance(layer, nn.Conv2d):
            before = int(layer.padding[0])
            settings = {"kernel": layer.kernel_size[0], "stride": layer.stride[0], "before": before,
                        "after": before + far_padding, "groups": layer.groups}  # fmt: skip
            steps.append(Step("convolution", name, settings))
            far_padding = 0
        elif isinstance(layer, nn.ZeroPad2d):
            far_padding = int(layer.padding[1])
        elif isinstance(layer, nn.Linear):
            steps.append(Step("dense", name, {}))
        elif isinstance(layer, ResponseNorm):
            steps.append(Step("normalisation", name, {"maps": 5, "alpha": layer.alpha, "beta": 0.75, "k": layer.k}))
        elif isinstance(layer, nn.MaxPool2d):
            settings = {"kernel": int(layer.kernel_size), "stride": int(layer.stride), "before": 0, "after": 0,  # type: ignore[arg-type]
                        "ceil": int(layer.ceil_mode)}  # fmt: skip
            steps.append(Step("max pooling", name, settings))
        elif function is not None:
            steps.append(Step("activation", name, {"function": function}))
        elif not isinstance(layer, _IGNORED) and name != "mean_image":
            return None
    return steps


def differences(expected: Sequence[Step], found: Sequence[Step], image_px: int) -> list[tuple[str, str]]:
    """Where the steps differ for images of `image_px`: what is expected, and what was found.

    Steps are compared by what they compute: an activation may come before or after a max pooling, and how far a
    pooling reaches over the edge matters only by the size of the maps it makes.
    """
    rows = []
    for left, right in zip_longest(_canonical(expected, image_px), _canonical(found, image_px)):
        if left is None or right is None or left.kind != right.kind or not _agree(left, right):
            rows.append((_describe(left), _describe(right)))
    return rows


def _canonical(steps: Sequence[Step], image_px: int) -> list[Step]:
    """With the side of the maps instead of far paddings, and activations before the max poolings they follow."""
    made: list[Step] = []
    side = image_px
    for step in steps:
        settings = dict(step.settings)
        if step.kind in ("convolution", "max pooling"):
            kernel, stride = _whole(settings["kernel"]), max(1, _whole(settings["stride"]))
            before, after = _whole(settings["before"]), _whole(settings.pop("after"))
            reach = side + before + after - kernel
            if settings.pop("ceil", 0):
                reach += stride - 1
            side = reach // stride + 1 if reach >= 0 else 0
            settings["side"] = side
        now = Step(step.kind, step.name, settings)
        if step.kind == "activation" and made and made[-1].kind == "max pooling":
            made.insert(len(made) - 1, now)
        else:
            made.append(now)
    return made


def _whole(value: float | str) -> int:
    return int(value)


def _agree(left: Step, right: Step) -> bool:
    for name, value in left.settings.items():
        other = right.settings.get(name)
        if isinstance(value, str) or isinstance(other, str) or other is None:
            if value != other:
                return False
        elif not math.isclose(value, other, rel_tol=_SAME, abs_tol=1e-12):
            return False
    return True


def _describe(step: Step | None) -> str:
    if step is None:
        return "nothing"
    settings = ", ".join(
        f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}" for name, value in step.settings.items()
    )
    return f"{step.name}: {step.kind}{', ' if settings else ''}{settings}"
