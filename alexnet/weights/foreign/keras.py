"""Keras's files: `.keras` archives, and `.h5` of whole models or of weights, read with h5py and never with Keras.

Kernels are [height, width, inputs, outputs] and [inputs, outputs]; maps are flattened height, width, channels. What a
`Lambda` layer computes is code in the file, which is never run.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.weights.foreign.keras_config import Described, describe
from alexnet.weights.foreign.net import ForeignNet, Layer, Pixels, layer_of

_MOST_OBJECTS = 20_000
_LARGEST_ARRAY = 2 << 30  # bytes
_DEFLATE_RATIO = 1032  # of zlib at most: what is stored cannot be more than that many times larger
_LARGEST_CONFIG = 16 << 20

Array = NDArray[np.floating]


def read_keras(path: Path, content: bytes | None = None) -> ForeignNet:
    """The net in a `.keras`, `.h5` or `.weights.h5` file.

    Args:
        path: the file.
        content: its bytes, where they are known already; `path` then serves for errors.

    Raises:
        UserError: h5py is not installed; the file is damaged; or the net has layers that no AlexNet has.
    """
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path} is read with h5py: pip install 'alexnet[keras]'") from None

    config, weights = _open(path, content)
    try:
        with h5py.File(weights, "r") as file:
            reader = _Hdf5(path, file)
            text = config if config is not None else reader.attribute(file, "model_config")
            arrays = reader.arrays()
    except UserError:
        raise
    except (MemoryError, Exception) as error:  # HDF5 fails in any way where bytes are wrong
        raise UserError(f"{path} is damaged, or no file of Keras: {_first_line(error)}") from None
    described = None if text is None else describe(path, _parse(path, text))
    return _net(path, arrays, described)


def _open(path: Path, content: bytes | None) -> tuple[str | None, Any]:
    """The archive's description of the net, None for HDF5 by itself, and what h5py opens."""
    source: Any = path if content is None else io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        return None, source
    try:
        with zipfile.ZipFile(source) as archive:
            members = {each.filename: each for each in archive.infolist()}
            for name, largest in (("config.json", _LARGEST_CONFIG), ("model.weights.h5", 2 * _LARGEST_ARRAY)):
                if name not in members or members[name].file_size > largest:
                    raise UserError(f"{path} has no {name}, or an absurdly large one: is it a .keras file?")
            return archive.read("config.json").decode("utf-8"), io.BytesIO(archive.read("model.weights.h5"))
    except UserError:
        raise
    except (MemoryError, Exception) as error:
        raise UserError(f"{path} is a damaged .keras file: {_first_line(error)}") from None


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


class _Hdf5:
    """An HDF5 file, of which only plain arrays within are read: no link leads to another file."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file
        self.count = 0

    def fail(self, problem: str) -> NoReturn:
        raise UserError(f"{self.path}: {problem}")

    def attribute(self, group: Any, name: str) -> str | None:
        value = group.attrs.get(name)
        if isinstance(value, bytes):
            return value.decode("utf-8")
        return value if isinstance(value, str) else None

    def names(self, group: Any, name: str) -> list[str]:
        """A list of texts in an attribute, which may be cut into several."""
        parts = [group.attrs[name]] if name in group.attrs else []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        texts = [each for part in parts for each in np.ravel(np.asarray(part)).tolist()]
        return [each.decode("utf-8") if isinstance(each, bytes) else str(each) for each in texts]

    def arrays(self) -> dict[str, Array]:
        """All arrays of weights, in the order of the layers."""
        root = self.child(self.file, "model_weights") if "model_weights" in self.file else self.file
        found: dict[str, Array] = {}
        if "layer_names" in root.attrs or "layer_names0" in root.attrs:
            for layer in self.names(root, "layer_names"):
                group = self.child(root, layer)
                for name in self.names(group, "weight_names"):
                    found[name] = self.values(group, name)
            return found
        self.collect(root, "", found, 0)
        return {name: found[name] for name in sorted(found, key=_natural)}

    def collect(self, group: Any, prefix: str, found: dict[str, Array], depth: int) -> None:
        """Arrays `.../vars/0`, `.../vars/1` below `group`; those of the optimiser are left out."""
        import h5py

        if depth > 32:
            self.fail("has groups in groups, more than 32 deep")
        for name in group:
            if depth == 0 and name in ("optimizer", "_trainer"):
                continue
            item = self.child(group, name)
            path = f"{prefix}/{name}" if prefix else name
            if isinstance(item, h5py.Group):
                self.collect(item, path, found, depth + 1)
            elif not prefix.endswith("seed_generator/vars") and "/seed_generator" not in path:
                found[path.replace("/vars/", "/")] = self.values(group, name)

    def child(self, group: Any, name: str) -> Any:
        """What `group` has under a path of names, through no soft or external link."""
        import h5py

        for part in [each for each in name.split("/") if each]:
            self.count += 1
            if self.count > _MOST_OBJECTS:
                self.fail(f"holds more than {_MOST_OBJECTS:,} objects: no file of Keras")
            if not isinstance(group, h5py.Group) or part not in group:
                self.fail(f"has no {name!r}: it is damaged")
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                self.fail(f"{part!r} is a link to elsewhere, which is not followed")
            group = group[part]
        return group

    def values(self, group: Any, name: str) -> Array:
        import h5py

        data = self.child(group, name)
        if not isinstance(data, h5py.Dataset) or data.shape is None:
            self.fail(f"{name!r} is no array")
        if data.dtype.kind != "f":
            self.fail(f"{name!r} holds {data.dtype}, not floating-point numbers")
        if data.external or data.is_virtual:
            self.fail(f"{name!r} lies in another file, which is not read")
        size = math.prod(int(side) for side in data.shape) * data.dtype.itemsize
        if size > min(_LARGEST_ARRAY, _DEFLATE_RATIO * data.id.get_storage_size()):
            self.fail(f"{name!r} claims {size:,} bytes and stores {data.id.get_storage_size():,}: it is damaged")
        array: Array = np.asarray(data[...])
        return array


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else (0, p) for i, p in enumerate(parts)]
