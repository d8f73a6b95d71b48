"""Any file of weights that is not ours, as a `ForeignNet`."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from alexnet.errors import UserError
from alexnet.weights._files import Format, detect, kind_of, read_file
from alexnet.weights.foreign.caffe_net import read_caffe
from alexnet.weights.foreign.keras import read_keras
from alexnet.weights.foreign.matconvnet import read_matconvnet
from alexnet.weights.foreign.net import ForeignNet, Layer
from alexnet.weights.foreign.onnx import read_onnx
from alexnet.weights.mxnet import read_params
from alexnet.weights.native import is_native, read_tensors
from alexnet.weights.torchvision import read_state_dict

_LARGEST_MEMBER = 1 << 30  # bytes, once unpacked
KNOWN = (
    "an MXNet .params, a PyTorch .pth, a .safetensors, a Caffe .caffemodel, an ONNX, a Keras (.keras, .h5) or a "
    "MatConvNet .mat file"
)


def read_foreign(source: Path, *, prototxt: Path | None = None, mean: Path | None = None) -> ForeignNet:
    """The net in `source`, whose format is found by its content; one zipped by itself is unpacked in memory.

    Args:
        source: the file.
        prototxt: for Caffe: the net's description, where it is not in the file.
        mean: for Caffe: its mean image.

    Raises:
        UserError: the file is missing, damaged, native already or of no known format, or a file for Caffe was given
            with one of another format.
    """
    kind, content = detect(source), None
    if kind == "zip":
        content = _unzip(source)
        kind = kind_of(content[:600])
    if kind in ("zip", "text", None):
        raise UserError(f"{source} is neither {KNOWN}, or is damaged{_HINTS.get(kind or '', '')}")
    for name, file in (("prototxt", prototxt), ("mean", mean)):
        if file is not None and kind != "caffe":
            raise UserError(f"{source} is no .caffemodel: drop --{name} {file}")
    return _read(source, kind, content, prototxt, mean)


_HINTS = {
    "text": ":\nit is text; where it describes a net of Caffe, name its .caffemodel and add --prototxt",
    "zip": ":\nit is a zip archive in a zip archive: unpack it",
}


def _read(source: Path, kind: Format, content: bytes | None, prototxt: Path | None, mean: Path | None) -> ForeignNet:
    if kind in ("caffe", "onnx", "mat"):
        content = read_file(source) if content is None else content
        if kind == "caffe":
            return read_caffe(source, content, prototxt, mean)
        return read_onnx(source, content) if kind == "onnx" else read_matconvnet(source, content)
    if kind in ("keras", "hdf5"):
        return read_keras(source, content)
    if kind == "mxnet":
        arrays = read_params(source, content)
        return _pairs(source, "MXNet NDArray", {name: torch.from_numpy(array) for name, array in arrays.items()})
    if content is not None:
        raise UserError(f"{source} is a zip archive: unpack it")
    if kind == "torch":
        return _pairs(source, "PyTorch state dict", read_state_dict(source))
    if is_native(source):
        raise UserError(f"{source} is in the native format already: use it as it is")
    return _pairs(source, "safetensors", read_tensors(source))


def _unzip(source: Path) -> bytes:
    """The only file in a zip archive; raises `UserError` where there are more, or it is absurdly large."""
    try:
        with zipfile.ZipFile(source) as archive:
            files = [each for each in archive.infolist() if not each.is_dir() and "__MACOSX" not in each.filename]
            if len(files) != 1:
                raise UserError(f"{source} is a zip archive of {len(files)} files: unpack it, and name the weights")
            if files[0].file_size > _LARGEST_MEMBER:
                raise UserError(f"{source} unpacks to {files[0].file_size:,} bytes: unpack it yourself")
            with archive.open(files[0]) as member:
                return member.read(files[0].file_size)
    except UserError:
        raise
    except Exception as error:  # the decompressors fail each in its own way
        raise UserError(f"{source} is a damaged zip archive: {error}") from None


def _pairs(source: Path, what: str, tensors: dict[str, Tensor]) -> ForeignNet:
    """Layers of the pairs NAME.weight, NAME.bias: convolutions first, each kind in the order of the names."""
    parts: dict[str, dict[str, str]] = {}
    for name, tensor in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        match = re.fullmatch(r"(?:(.*)[._])?(weight|bias)", name, re.DOTALL)
        if not match:
            raise UserError(
                f"{source}: {name!r} is neither a weight nor a bias; "
                "only nets of convolutions and dense layers can be converted"
            )
        if not tensor.is_floating_point():
            raise UserError(f"{source}: {name!r} holds {tensor.dtype}, not floating-point numbers: a quantised net?")
        parts.setdefault(match[1] or "", {})[match[2]] = name
    layers = {}
    # A classifier sorts before features: convolutions, with their four dimensions, go first.
    for stem in sorted(parts, key=lambda stem: (-_ndim(parts[stem], tensors), _natural(stem))):
        names = parts[stem]
        if len(names) < 2:
            lacking = "bias" if "weight" in names else "weight"
            raise UserError(f"{source}: {stem!r} has no {lacking}; every layer here has a weight and a bias")
        weight, bias = tensors[names["weight"]], tensors[names["bias"]]
        layers[stem] = Layer(names["weight"], weight, names["bias"], bias)
    in_file = sorted(parts, key=lambda stem: -_ndim(parts[stem], tensors))
    return ForeignNet(what=what, layers=list(layers.values()), in_file_order=[layers[stem] for stem in in_file])


def _ndim(names: dict[str, str], tensors: dict[str, Tensor]) -> int:
    return tensors[names["weight"]].ndim if "weight" in names else 0


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which conv9 comes before conv10; digits stay text, for int() refuses very long ones."""
    key = []
    for position, part in enumerate(re.split(r"([0-9]+)", name)):
        digits = part.lstrip("0")
        key.append((len(digits), digits) if position % 2 else (0, part))
    return key
