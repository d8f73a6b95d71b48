"""Keras's files: `.keras` archives, and `.h5` of whole models or of weights, read with h5py and never with Keras.

Kernels are [height, width, inputs, outputs] and [inputs, outputs]; maps are flattened height, width, channels. What a
`Lambda` layer computes is code in the file, which is never run.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.weights.foreign import _hdf5
from alexnet.weights.foreign.keras_config import Described, describe
from alexnet.weights.foreign.net import ForeignNet, Layer, Pixels, layer_of

_LARGEST_CONFIG = 16 << 20  # bytes
_LARGEST_WEIGHTS = 2 << 30
_LEAST_S = 20.0  # for the process that reads; a whole AlexNet takes it 2
_BYTES_PER_S = 2e6  # and this much more time for larger files

Array = NDArray[np.floating]


def read_keras(path: Path, content: bytes | None = None) -> ForeignNet:
    """The net in a `.keras`, `.h5` or `.weights.h5` file.

    Args:
        path: the file.
        content: its bytes, where they are known already; `path` then serves for errors.

    Raises:
        UserError: h5py is not installed; the file is damaged; or the net has layers that no AlexNet has.
    """
    if importlib.util.find_spec("h5py") is None:
        raise UserError(f"{path} is read with h5py: pip install 'alexnet[keras]'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, weights = _unpack(path, content, folder)
        arrays, own_text = _read_apart(path, weights, folder / "arrays.npz")
    text = text or own_text
    return _net(path, arrays, None if text is None else describe(path, _parse(path, text)))


def _unpack(path: Path, content: bytes | None, folder: Path) -> tuple[str | None, Path]:
    """The archive's description of the net, None for HDF5 by itself, and a file of HDF5."""
    source = path
    if content is not None:
        source = folder / "file"
        source.write_bytes(content)
    if not zipfile.is_zipfile(source):
        return None, source
    try:
        with zipfile.ZipFile(source) as archive:
            members = {each.filename: each for each in archive.infolist()}
            for name, largest in (("config.json", _LARGEST_CONFIG), ("model.weights.h5", _LARGEST_WEIGHTS)):
                if name not in members or members[name].file_size > largest:
                    raise UserError(f"{path} has no {name}, or an absurdly large one: is it a .keras file?")
            weights = folder / "model.weights.h5"
            weights.write_bytes(archive.read("model.weights.h5"))
            return archive.read("config.json").decode("utf-8"), weights
    except UserError:
        raise
    except Exception as error:  # the decompressors fail each in its own way
        raise UserError(f"{path} is a damaged .keras file: {_first_line(error)}") from None


def _read_apart(path: Path, weights: Path, out: Path) -> tuple[dict[str, Array], str | None]:
    """The arrays of an HDF5 file, in the order of the layers, and its description of the net."""
    limit_s = _LEAST_S + weights.stat().st_size / _BYTES_PER_S
    command = [sys.executable, "-P", _hdf5.__file__]
    paths = json.dumps([str(weights.resolve()), str(out)]).encode()
    try:
        done = subprocess.run(command, input=paths, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"{path} is damaged: HDF5's library came to no end in {limit_s:.0f} s") from None
    if done.returncode == _hdf5.REFUSED:
        problem = done.stderr.decode("utf-8", "replace").strip()
        raise UserError(f"{path} is damaged, or no file of Keras: {problem}")
    if done.returncode:
        raise UserError(f"{path} is damaged: HDF5's library failed on it (exit status {done.returncode})")
    with np.load(out, allow_pickle=False) as found:
        facts = json.loads(str(found["facts"]))
        return {name: found[f"array{index}"] for index, name in enumerate(facts["names"])}, facts["description"]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} has a damaged description of its net: {_first_line(error)}") from None


def _net(path: Path, arrays: dict[str, Array], described: Described | None) -> ForeignNet:
    kernels: list[tuple[str, Array]] = []
    biases: dict[str, Array] = {}
    for name, array in arrays.items():
        stem, _, last = name.rpartition("/")
        last = last.partition(":")[0]
        if last in ("kernel", "0") and array.ndim in (2, 4):
            kernels.append((stem, array))
        elif last in ("bias", "1") and array.ndim == 1 and stem not in biases:
            biases[stem] = array
        else:
            raise UserError(
                f"{path}: {name!r} of shape {array.shape} is neither a kernel nor a bias; only nets of convolutions "
                "and dense layers can be converted"
            )
    kernels.sort(key=lambda pair: -pair[1].ndim)
    unused = sorted(set(biases) - {stem for stem, _ in kernels})
    if unused:
        raise UserError(f"{path}: {unused[0]!r} has a bias and no kernel")
    layers: list[Layer] = []
    maps, is_first_dense = 0, True
    keeps_order = described is not None and described.flattens_channels_first
    for stem, kernel in kernels:
        if kernel.ndim == 4:
            weight = kernel.transpose(3, 2, 0, 1)
            maps = weight.shape[0]
        else:
            weight = kernel.T
            if is_first_dense and maps and not keeps_order:
                weight = _channels_first(weight, maps)
            is_first_dense = False
        layers.append(layer_of(path, stem, weight, biases.get(stem), ("kernel", "bias")))
    pixels = None
    if described is not None and described.scale is not None:
        scale, offset = described.scale, described.offset
        channels = layers[0].weight.shape[1] if layers else 0
        pixels = Pixels(scale=scale, mean=(-offset / scale,) * channels)
    return ForeignNet(
        what="Keras",
        layers=layers,
        steps=None if described is None or described.hides_something else described.steps,
        image_px=None if described is None else described.image_px,
        pixels=pixels,
    )


def _channels_first(weight: Array, maps: int) -> Array:
    """Columns in the order channels, height, width instead of height, width, channels."""
    outputs, inputs = weight.shape
    side = math.isqrt(inputs // maps)
    if side * side * maps != inputs:
        return weight  # does not follow these maps; the shapes are compared later
    return weight.reshape(outputs, side, side, maps).transpose(0, 3, 1, 2).reshape(outputs, inputs)
