"""Weights of other frameworks, brought into a network of ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from alexnet import models
from alexnet.card import ModelCard, Preprocessing
from alexnet.config import Fit
from alexnet.errors import UserError
from alexnet.models import ConvNet
from alexnet.weights._choose import Choice, choose, expected_entries
from alexnet.weights._files import read_file, sha256_of
from alexnet.weights._read import read_foreign
from alexnet.weights.foreign.net import ForeignNet, Pixels

Channels = Literal["rgb", "bgr"]

_GREY_LEVELS = 255
# Means of ImageNet's training images in Caffe's ilsvrc_2012_mean.npy, red first.
_CAFFE_MEAN = (122.67891434, 116.66876762, 104.00698793)
_CAFFE_SIDE_PX = 256  # to which it brought images before it cut its input out of them
_IMAGENET_NETS = ("alexnet_owt", "alexnet_2012")  # those that MXNet's model zoos hold, trained as torchvision's


def convert(
    source: str | Path,
    model_name: str | None = None,
    class_names: Sequence[str] | None = None,
    *,
    options: dict[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_px: int | None = None,
    fit: Fit | None = None,
    prototxt: str | Path | None = None,
    mean_image: str | Path | None = None,
    channels: Channels | None = None,
) -> tuple[ConvNet, ModelCard]:
    """The network with the weights of another framework's file, in eval mode, and its card.

    The format is found by the content: MXNet's NDArray, a PyTorch state dict, a foreign `.safetensors`, Caffe's
    `.caffemodel`, ONNX, Keras (`.keras`, `.h5`) or MatConvNet's `.mat`; see docs/old-weights.md.
    Where the file says what its layers do, the network must do the same; where it holds pairs NAME.weight, NAME.bias
    alone, they go to the network's layers by shape, convolutions before dense layers and each kind in the order of
    their names, numbers counted as numbers, or else in the file's.

    Args:
        source: the file.
        model_name: a name of `alexnet.models`; None: the one that fits.
        class_names: name of each output, in order; None: those in the file, or their numbers.
        options: arguments of the network, such as `activation`, which weights alone do not hold. `num_classes`,
            `in_channels` and `image_px` are worked out from the shapes where they are not given.
        mean: what was subtracted from each channel of the pixels (0..1, red first) the weights were trained on.
        std: what each channel was then divided by. Without `mean` and `std`, those are what the file says; for
            Caffe's nets ImageNet's mean and 1/255; 0 and 1 for Keras and the tutorial's nets of MXNet (`ToTensor`
            alone); and the network's usual ones otherwise.
        resize_px: side that images are brought to before the network's input is cut out; None: that of the mean
            image, 256 for Caffe's nets of 193 to 255 px, the input's own otherwise.
        fit: what becomes of images that are not square; None: squash for Caffe's nets, as Caffe did, crop otherwise.
        prototxt: for Caffe: the net's description, where it is not in the file.
        mean_image: for Caffe: its mean image, a `.binaryproto` or `.npy`, instead of `mean`.
        channels: order of colours that the first layer's weights take; None: what the format implies (bgr for Caffe).
            They are reordered to red, green, blue.

    Raises:
        UserError: the file is missing, damaged, native already or of no known format; its layers do not fit
            (listed side by side); or the class names are not as many as the outputs.
    """
    source = Path(source)
    if isinstance(class_names, str):
        raise UserError("class_names is a list of names, not one string")
    if mean is not None and mean_image is not None:
        raise UserError("give a mean of each channel or a mean image, not both")
    net = read_foreign(
        source,
        prototxt=None if prototxt is None else Path(prototxt),
        mean=None if mean_image is None else Path(mean_image),
    )
    pixels = _chosen_pixels(source, net, channels)
    image = None if pixels is None or mean is not None else pixels.mean_image
    given = dict(options or {})
    choice = choose(source, net, model_name, given)
    if image is not None and image.shape[1:] == (1, 1):
        image = None
    if image is not None:
        if "mean_image" not in choice.options:
            raise UserError(f"{choice.model_name} takes no mean image: give its channels' means with --mean")
        choice = choose(source, net, choice.model_name, given | {"mean_image": True})
    chosen = choice.options
    if class_names is None:
        class_names = net.class_names
    if class_names is None:
        class_names = tuple(map(str, range(chosen["num_classes"])))
    if len(class_names) != chosen["num_classes"]:
        raise UserError(
            f"{source} has {chosen['num_classes']} outputs, and {len(class_names)} class names were given: "
            "name each output once, in order"
        )
    preprocessing, remark = _preprocessing(net, pixels, choice, mean, std, resize_px)
    preprocessing = replace(preprocessing, fit=fit or ("squash" if pixels and pixels.squashes else "crop"))
    _fill(choice, is_bgr=pixels is not None and pixels.bgr)
    if image is not None:
        _fill_mean_image(source, choice.model, image, preprocessing)
    remarks = [f"sha256 {sha256_of(source)}", *([remark] if remark else [])]
    card = ModelCard(
        model=choice.model_name,
        options=chosen,
        class_names=tuple(class_names),
        preprocessing=preprocessing,
        source=f"{source.name} ({net.what}, {', '.join(remarks)}){f'; {net.published}' if net.published else ''}",
    )
    return choice.model.eval(), card


def _chosen_pixels(source: Path, net: ForeignNet, channels: Channels | None) -> Pixels | None:
    """What is known of the net's input, with the order of colours that was given."""
    pixels = net.pixels
    if channels is None:
        return pixels
    in_channels = net.layers[0].weight.shape[1] if net.layers else 0
    if in_channels != 3:
        raise UserError(
            f"{source} has inputs of {in_channels} channels, which have no order of colours: drop channels"
        )
    return replace(pixels or Pixels(scale=None), bgr=channels == "bgr")


def _preprocessing(
    net: ForeignNet,
    pixels: Pixels | None,
    choice: Choice,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    resize_px: int | None,
) -> tuple[Preprocessing, str]:
    """How images become input, and what of it was assumed."""
    in_channels, image_px = choice.options["in_channels"], choice.options["image_px"]
    remark = ""
    if pixels is None or pixels.scale is None:
        if (mean is None) != (std is None):
            raise UserError("give both mean and std, or neither")
        if mean is None or std is None:
            mean, std = _default_scaling(net.what, choice.model_name, in_channels)
    else:
        std = (1 / (_GREY_LEVELS * pixels.scale),) * in_channels if std is None else std
        if mean is None:
            levels, remark = _mean_levels(pixels, in_channels)
            mean = tuple(level / _GREY_LEVELS for level in levels)
        if net.what != "Keras" and resize_px is None:
            is_large = _CAFFE_SIDE_PX * 3 // 4 < image_px < _CAFFE_SIDE_PX
            side = max(
                _CAFFE_SIDE_PX if is_large else 0, 0 if pixels.mean_image is None else pixels.mean_image.shape[1]
            )
            resize_px = side if side > image_px else None
    return (
        Preprocessing(
            image_px=image_px, in_channels=in_channels, mean=tuple(mean), std=tuple(std), resize_px=resize_px
        ),
        remark,
    )


def _mean_levels(pixels: Pixels, in_channels: int) -> tuple[Sequence[float], str]:
    """Mean of each channel in grey levels, and whether it was assumed."""
    if pixels.mean_image is not None and pixels.mean_image.shape[0] == in_channels:
        return [float(value) for value in pixels.mean_image.mean(axis=(1, 2), dtype=np.float64)], ""
    if pixels.mean is not None:
        return pixels.mean, ""
    return (_CAFFE_MEAN, "ImageNet's mean assumed") if in_channels == 3 else ((0.0,) * in_channels, "no mean assumed")


def _default_scaling(what: str, model_name: str, in_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation the file's weights were most likely trained with."""
    facts = models.facts(model_name)
    is_zoo = what == "MXNet NDArray" and model_name in _IMAGENET_NETS
    if what in ("MXNet NDArray", "Keras") and not is_zoo:  # Gluon's ToTensor scales to 0..1 and does no more
        return (0.0,) * in_channels, (1.0,) * in_channels
    if in_channels != len(facts.mean):
        raise UserError(f"give the mean and std of the {in_channels} channels the weights were trained on")
    return facts.mean, facts.std


def _fill(choice: Choice, *, is_bgr: bool) -> None:
    """Give the layers' values, as fp32, to the network, which is on the meta device."""
    values = [tensor for layer in choice.layers for tensor in (layer.weight, layer.bias)]
    for tensor in values:
        if not tensor.isfinite().all():
            raise UserError(
                f"the weights for {choice.model_name} hold NaN or infinity: the training that made them failed, or "
                "the file is damaged"
            )
    state: dict[str, Tensor] = {
        name: tensor.detach().to(torch.float32, copy=True).contiguous()
        for (name, _), tensor in zip(expected_entries(choice.model), values, strict=True)
    }
    if is_bgr:
        first = next(iter(state))
        state[first] = state[first].flip(1).contiguous()
    choice.model.load_state_dict(state, strict=False, assign=True)


def _fill_mean_image(source: Path, model: ConvNet, image: np.ndarray, how: Preprocessing) -> None:
    """What the centre of the mean image differs from the channels' means, in the units of the normalised input."""
    C, H, W = image.shape
    px = how.image_px
    if how.in_channels != C or H != W or px > H:
        raise UserError(
            f"the mean image of {source} has the shape {C}x{H}x{W}; images of {how.in_channels}x{px}x{px} need one "
            "that is square and not smaller"
        )
    cut = (H - px) // 2  # as Caffe's DataTransformer cuts the centre
    centre = torch.from_numpy(np.ascontiguousarray(image[:, cut : cut + px, cut : cut + px])).double() / _GREY_LEVELS
    mean_C11, std_C11 = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (how.mean, how.std))
    left = ((centre - mean_C11) / std_C11).float()
    model.load_state_dict({"features.mean_image.image": left}, strict=False, assign=True)


def imagenet_class_names() -> tuple[str, ...]:
    """Names of ImageNet's 1000 classes of 2012 in the order of their synsets, as torchvision publishes them."""
    from torchvision.models import AlexNet_Weights

    return tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Class names from a text file, one a line (blank lines do not count), or from a JSON list of strings.

    Raises:
        UserError: the file is missing, is not UTF-8, names nothing, or is JSON other than a list of strings.
    """
    path = Path(path)
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: class names come one a line, or as a JSON list") from None
    if text.lstrip().startswith(("[", "{")):
        try:
            names = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{path} must be a JSON list of strings")
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path} names no class")
    return tuple(names)
