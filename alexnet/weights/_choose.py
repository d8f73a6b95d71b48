"""Which network of ours a foreign net is: by its layers' shapes, and where they are known, by its steps."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from alexnet import models
from alexnet.config import Variant
from alexnet.errors import UserError
from alexnet.models import ConvNet
from alexnet.models._build import maps_px
from alexnet.weights._fit import Entry, empty_net, entries, mismatches
from alexnet.weights._structure import differences, steps_of
from alexnet.weights.foreign.net import ForeignNet, Layer

_LARGEST_PX = 1024  # images tried when the size is worked out from the first dense layer
_NATIVE_PX = {"bvlc_alexnet": 227, "caffenet": 227}  # of variants; others have their network's


@dataclass(frozen=True)
class Choice:
    """A network of ours, without values, and the layers that go to it."""

    model_name: str
    options: dict[str, Any]
    model: ConvNet
    layers: Sequence[Layer]
    image_px: int


def choose(source: Path, net: ForeignNet, model_name: str | None, given: dict[str, Any]) -> Choice:
    """The network that `net` is.

    Args:
        source: its file, for errors.
        net: the foreign net.
        model_name: a name of `alexnet.models`; None: the one that fits.
        given: arguments of the network, which then must be these.

    Raises:
        UserError: none fits, with both sides listed; or several do.
    """
    if not net.layers:
        raise UserError(f"{source} holds no convolution and no dense layer")
    names = models.names() if model_name is None else (model_name,)
    tried = [choice for name in names for choice in _candidates(name, net, given, is_named=model_name is not None)]
    fitting = [choice for choice in tried if not _table(choice)]
    if not fitting:
        if model_name is None:
            raise UserError(f"{source} fits no network of alexnet: it has {_summary(net.layers)}\n{_HOW_TO_SEE}")
        # The order by names is shown, in the network's own form.
        raise UserError(_misfit(source, tried[0]))
    if net.steps is not None:
        return _by_steps(source, net, fitting)
    fitting_names = list(dict.fromkeys(choice.model_name for choice in fitting))
    if len(fitting_names) > 1:
        raise UserError(
            f"{source} has the shapes of {' and '.join(fitting_names)}: say which it is, "
            f"--model {' or --model '.join(fitting_names)}"
        )
    if net.what == "Caffe" and "variant" in fitting[0].options and "variant" not in given:
        raise UserError(f"{source} does not say what its layers do: add --prototxt deploy.prototxt, or --variant")
    return fitting[0]


_HOW_TO_SEE = "name the nearest network with --model, to see where they part"


def _candidates(name: str, net: ForeignNet, given: dict[str, Any], *, is_named: bool) -> list[Choice]:
    known = inspect.signature(getattr(models, name)).parameters if name in models.names() else {}
    if not known:
        models.facts(name)  # raises for an unknown name
    if not is_named and set(given) - set(known):
        return []
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserError(f"{name} takes no option {', '.join(unknown)}: it knows {', '.join(known)}")
    functions = {str(step.settings["function"]) for step in net.steps or () if step.kind == "activation"}
    implied = {"activation": functions.pop().replace(" ", "_")} if len(functions) == 1 else {}
    variants: Sequence[dict[str, Any]] = [{}]
    if "variant" in known and "variant" not in given:
        variants = [{"variant": variant} for variant in typing.get_args(Variant)]
    made = []
    for layers in [net.layers] if net.in_file_order is None else [net.layers, net.in_file_order]:
        for variant in variants:
            options = _options(name, layers, net.image_px, implied | variant | given)
            model = empty_net(name, options)
            if models.has_batch_norm(model):
                if is_named:
                    raise UserError(f"{name} is this package's own network: nothing else writes weights for it")
                continue
            made.append(Choice(name, options, model, layers, options["image_px"]))
    return made


def _options(name: str, layers: Sequence[Layer], net_px: int | None, given: dict[str, Any]) -> dict[str, Any]:
    """All arguments of the network: those given, those the shapes imply, then its own defaults."""
    chosen = {key: each.default for key, each in inspect.signature(getattr(models, name)).parameters.items()}
    if layers[-1].weight.ndim == 2:
        chosen["num_classes"] = layers[-1].weight.shape[0]
    if layers[0].weight.ndim == 4:
        chosen["in_channels"] = layers[0].weight.shape[1]
    dense = next((layer.weight for layer in layers if layer.weight.ndim == 2), None)
    if dense is not None:
        chosen["image_px"] = infer_px(name, dense.shape[1], given.get("variant"), net_px)
    return chosen | given


def infer_px(name: str, inputs: int, variant: str | None = None, net_px: int | None = None) -> int:
    """Side of the images whose maps, flattened, have `inputs` values: `net_px`, the native one, else the smallest.

    The native side as well where no image gives that many: the shapes then disagree, and are listed.
    """
    native_px = _NATIVE_PX.get(variant or "", models.facts(name).native_px)
    features = empty_net(name, {} if variant is None else {"variant": variant}).features
    maps = [layer.out_channels for layer in features if isinstance(layer, nn.Conv2d)][-1]
    side = math.isqrt(inputs // maps)
    if side * side * maps != inputs:
        return native_px
    for px in (net_px, native_px):
        if px is not None and maps_px(features, px) == side:
            return px
    return next((px for px in range(1, _LARGEST_PX + 1) if maps_px(features, px) == side), native_px)


def _by_steps(source: Path, net: ForeignNet, fitting: list[Choice]) -> Choice:
    """Of those whose shapes fit, the one that computes the same."""
    assert net.steps is not None
    nearest: tuple[Choice, list[tuple[str, str]]] | None = None
    for choice in fitting:
        steps = steps_of(choice.model)
        if steps is None:
            continue
        rows = differences(steps, net.steps, choice.image_px)
        if not rows:
            return choice
        if nearest is None or len(rows) < len(nearest[1]):
            nearest = choice, rows
    if nearest is None:
        raise UserError(f"{source} has the shapes of {fitting[0].model_name}, which no other framework has")
    choice, rows = nearest
    variant = f" ({choice.options['variant']})" if "variant" in choice.options else ""
    width = max(len(left) for left, _ in [("expected", ""), *rows])
    table = "\n".join(f"  {left:<{width}}  {right}" for left, right in [("expected", "found"), *rows])
    raise UserError(f"{source} has the shapes of {choice.model_name}{variant}, but computes otherwise:\n{table}")


def expected_entries(model: ConvNet) -> list[Entry]:
    """Names and shapes of the weights that a file brings: all but a mean image."""
    return entries((name, tensor) for name, tensor in model.state_dict().items() if "mean_image" not in name)


def _found(layers: Sequence[Layer]) -> list[Entry]:
    pairs = ((each.weight_name, each.weight, each.bias_name, each.bias) for each in layers)
    return entries(part for w_name, w, b_name, b in pairs for part in ((w_name, w), (b_name, b)))


def _table(choice: Choice) -> str:
    return mismatches(expected_entries(choice.model), _found(choice.layers))


def _misfit(source: Path, choice: Choice) -> str:
    ours, theirs = len(expected_entries(choice.model)) // 2, len(choice.layers)
    count = f"it has {theirs} layers, not {ours}" if ours != theirs else "shapes differ"
    return f"{source} does not fit {choice.model_name}: {count}\n{_table(choice)}"


def _summary(layers: Sequence[Layer]) -> str:
    shapes = ["x".join(map(str, layer.weight.shape)) for layer in layers]
    more = f" and {len(shapes) - 12} more" if len(shapes) > 12 else ""
    return f"weights of {', '.join(shapes[:12])}{more}"
