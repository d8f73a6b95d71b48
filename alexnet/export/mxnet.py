"""MXNet `.params`; the lines of Gluon that load them stand in export.json.

The layers are those of one `HybridSequential`, counted from 0; weights are named `3.weight`, `3.bias`, and of batch
norm `5.gamma`, `5.beta`, `5.running_mean`, `5.running_var`, as `save_parameters` names them. Two networks have names
in use instead: alexnet_owt at 224 px those of Gluon's model zoo, so `vision.alexnet(classes=K)` loads it, and
tiny_alexnet those of the tutorial's, whose activations are part of its layers.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alexnet.errors import UserError
from alexnet.export.gluon import Layer, layers_of, source_of
from alexnet.export.job import Job
from alexnet.models import ConvNet
from alexnet.weights.mxnet import read_params

_LIST_MAGIC, _V2_MAGIC = 0x112, 0xF993FAC9
_CPU, _FLOAT32 = (1, 0), 0
_OF_NORMS = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
_OF_OTHERS = {"weight": "weight", "bias": "bias"}
_ZOO = {
    "conv1": "features.0",
    "conv2": "features.2",
    "conv3": "features.4",
    "conv4": "features.5",
    "conv5": "features.6",
    "fc6": "features.9",
    "fc7": "features.11",
    "fc8": "output",
}
"""Gluon's model zoo, `vision.alexnet`."""
_TUTORIAL = {"conv1": "0", "conv2": "2", "conv3": "3", "fc4": "5", "fc5": "7", "fc6": "9"}
"""The tutorial's TinyAlexNet."""
_ZOO_PX = 224
_FUSED = ("relu", "tanh", "sigmoid")
"""Activations that Gluon's layers take as an argument."""


def write(job: Job, out: Path) -> dict[str, Any]:
    """Write the weights to `out`, and read them back.

    Raises:
        UserError: the network is none of ours, or has layers that Gluon lacks.
    """
    model = job.classifier.model
    if not isinstance(model, ConvNet) or type(model) is not ConvNet:
        raise UserError("MXNet's file takes a network of convolutions and dense layers, one of alexnet's own")
    layers = layers_of(model, job.classifier.card.preprocessing.image_px)
    arrays = {name: tensor for layer in layers for name, tensor in _arrays(job, layer)}
    write_params(out, arrays)
    read = read_params(out)
    if list(read) != list(arrays) or not all(np.array_equal(read[name], arrays[name]) for name in arrays):
        raise UserError(f"{job.target} was not written: what was read back is not what was written")
    job.compare_logits("logits", _filled(job, layers, read), (64,))
    return {
        "arrays": len(arrays),
        "read_back": "by this package's reader, equal to the bit, and computed from again",
        "gluon": _gluon(job, layers),
    }


def write_params(path: Path, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write named float32 arrays as MXNet 1.9 does: V2 headers, on the CPU.

    Args:
        path: the file.
        arrays: each with one dimension or more and no empty one, as V2 has neither scalars nor empty arrays.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays)))
        for name, array in arrays.items():
            if array.ndim == 0 or 0 in array.shape:
                raise ValueError(f"{name} has shape {array.shape}, which MXNet's file cannot hold")
            file.write(struct.pack("<Iii", _V2_MAGIC, 0, array.ndim))
            file.write(struct.pack(f"<{array.ndim}q", *array.shape))
            file.write(struct.pack("<iii", *_CPU, _FLOAT32))
            file.write(np.ascontiguousarray(array, "<f4").tobytes())
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            encoded = name.encode()
            file.write(struct.pack("<Q", len(encoded)) + encoded)


def _arrays(job: Job, layer: Layer) -> list[tuple[str, NDArray[np.float32]]]:
    """The layer's arrays under MXNet's names."""
    kinds = _kinds(layer)
    tensors = layer.module.state_dict()
    stem = _stem(job, layer)
    return [(f"{stem}.{theirs}", tensors[ours].float().numpy()) for ours, theirs in kinds.items() if ours in tensors]


def _kinds(layer: Layer) -> dict[str, str]:
    """What MXNet calls the layer's arrays."""
    return _OF_NORMS if isinstance(layer.module, nn.BatchNorm1d | nn.BatchNorm2d) else _OF_OTHERS


def _stem(job: Job, layer: Layer) -> str:
    """What the names of the layer's arrays begin with."""
    return _names_in_use(job).get(layer.name, str(layer.position))


def _names_in_use(job: Job) -> dict[str, str]:
    """The names of files in use, where the network is one of theirs."""
    card = job.classifier.card
    activation = card.options.get("activation", "relu")
    if card.model == "alexnet_owt" and activation == "relu" and card.preprocessing.image_px == _ZOO_PX:
        return _ZOO
    return _TUTORIAL if card.model == "tiny_alexnet" and activation in _FUSED else {}


def _gluon(job: Job, layers: list[Layer]) -> str:
    """Python that makes the network as `net`."""
    names, card = _names_in_use(job), job.classifier.card
    K, activation = len(card.class_names), card.options.get("activation", "relu")
    if names is _ZOO:
        return f"from mxnet.gluon.model_zoo import vision\nnet = vision.alexnet(classes={K})"
    if names is not _TUTORIAL:
        return source_of(layers)
    act, drop = f"activation={activation!r}", f"nn.Dropout({card.options.get('dropout', 0.5)})"
    return (
        "from mxnet.gluon import nn\n"
        "net = nn.HybridSequential()\n"
        f"net.add(nn.Conv2D(32, 5, padding=2, {act}), nn.MaxPool2D(2, 2))\n"
        f"net.add(nn.Conv2D(32, 3, padding=1, {act}), nn.Conv2D(32, 3, padding=1, {act}), nn.MaxPool2D(2, 2))\n"
        f"net.add(nn.Dense(256, {act}), {drop}, nn.Dense(256, {act}), {drop}, nn.Dense({K}))"
    )


def _filled(job: Job, layers: list[Layer], read: Mapping[str, NDArray[np.float32]]) -> nn.Module:
    """The network with the tensors that were read."""
    own = copy.deepcopy(job.classifier.model)
    for before, layer in zip(layers, layers_of(own, job.classifier.card.preprocessing.image_px), strict=True):
        assert before.name == layer.name
        kinds = _kinds(layer)
        tensors, stem = layer.module.state_dict(), _stem(job, layer)
        for ours, theirs in kinds.items():
            if ours in tensors:
                tensors[ours].copy_(torch.from_numpy(read[f"{stem}.{theirs}"]))
    return own
