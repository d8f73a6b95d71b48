"""Data sets of the Hugging Face hub, `hf:owner/name`: fetched and kept by its own library, decoded by our code."""

from __future__ import annotations

import importlib
import io
import threading
import zlib
from collections.abc import Mapping
from typing import Any

import torch

from alexnet.data.dataset import SplitName
from alexnet.data.images.streamed import StreamedImages
from alexnet.data.sources.shards import read_all
from alexnet.data.sources.source import LARGEST_OWN_PX, ImageSpec, Source
from alexnet.errors import UserError
from alexnet.files import read_bytes, reason_of

PREFIX = "hf:"
_SPLITS: dict[str, SplitName] = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
_SAMPLED_IMAGES = 200


class HubStore:
    """The images of one split.

    Args:
        rows: a `datasets.Dataset` whose column of images is not decoded.
        column: its name.
        place: what messages call the split.
    """

    def __init__(self, rows: Any, column: str, place: str) -> None:
        self._rows, self._column, self._place = rows, column, place
        self._lock = threading.Lock()  # the library does not say that threads may share a table

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, position: int) -> bytes:
        """Content of the image."""
        with self._lock:
            value = self._rows[position][self._column] or {}
        if value.get("bytes") is not None:
            return bytes(value["bytes"])
        if value.get("path") is None:
            raise OSError("there is no image in this row")
        return read_bytes(value["path"])

    def name(self, position: int) -> str:
        """Split and row."""
        return self.path(position)

    def path(self, position: int) -> str:
        """Split and row."""
        return f"{self._place} row {position}"

    def fingerprint(self) -> int:
        """CRC of the number of images and of some, evenly spread."""
        crc = zlib.crc32(str(len(self)).encode())
        for position in self.sample():
            crc = zlib.crc32(self.read(position), crc)
        return crc

    def sample(self) -> list[int]:
        """Some positions, evenly spread."""
        count = min(len(self), _SAMPLED_IMAGES)
        return [i * len(self) // count for i in range(count)]


def is_hub(source: object) -> bool:
    """Whether `source` names a data set of the hub."""
    return str(source).startswith(PREFIX)


def open_hub(source: str) -> Source:
    """The data set `hf:owner/name`; its classes are those of its column of class labels.

    Small square images keep their size where those of a sample share one.

    Raises:
        UserError: the library is not installed, the data set cannot be loaded, or is not of labelled images.
    """
    found, library = _load(source)
    image = _column(source, found, library.Image, "images")
    label = _column(source, found, library.ClassLabel, "class labels")
    names = tuple(next(iter(found.values())).features[label].names)
    splits: dict[SplitName, tuple[HubStore, torch.Tensor]] = {}
    for theirs, rows in found.items():
        labels_N = torch.tensor(rows[label][:], dtype=torch.int64)
        if theirs in _SPLITS and (labels_N >= 0).all():  # -1: kept secret, as those of ImageNet's test split
            undecoded = rows.cast_column(image, library.Image(decode=False))
            splits[_SPLITS[theirs]] = (HubStore(undecoded, image, f"{source} {theirs}"), labels_N)
    rule = "as the hub has them"
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
        rule += "; validation serves as the test split, as there is no labelled one"
    if not {"train", "test"} <= set(splits):
        raise UserError(
            f"{source} has the splits {', '.join(found)}: a labelled train and test (or validation) are needed"
        )

    def stream(split: SplitName, spec: ImageSpec) -> StreamedImages:
        if split not in splits:
            raise UserError(f"{source} has no {split} split, only {', '.join(splits)}")
        store, labels_N = splits[split]
        px = spec.image_px or _own_px(splits["train"][0]) or spec.default_px
        return StreamedImages(store, torch.arange(len(store)), labels_N, px, spec.in_channels, fit=spec.fit)

    return Source(
        class_names=names,
        in_channels=3,
        read=lambda split, spec: read_all(stream(split, spec), spec),
        stream=stream,
        splits=tuple(splits),
        n_images=sum(len(store) for store, _ in splits.values()),
        origin={
            "path": source,
            "split": rule,
            "files": {name: len(store) for name, (store, _) in splits.items()},
        },
    )


def _load(source: str) -> tuple[Mapping[str, Any], Any]:
    """The splits of the data set by their names, and the library."""
    try:
        library = importlib.import_module("datasets")
    except ImportError as error:
        raise UserError(f"{source} needs the library datasets: pip install 'alexnet[hub]'") from error
    try:
        return dict(library.load_dataset(source.removeprefix(PREFIX))), library
    except Exception as error:  # no network, no such name, no right to it, another layout: each raises its own kind
        reason = reason_of(error).strip().splitlines()[0]
        raise UserError(
            f"{source} cannot be loaded: {reason} (with HF_HUB_OFFLINE=1 only what was fetched before is found)"
        ) from error


def _column(source: str, found: Mapping[str, Any], kind: type, what: str) -> str:
    features = next(iter(found.values())).features
    names = [name for name, feature in features.items() if isinstance(feature, kind)]
    if len(names) != 1:
        raise UserError(
            f"{source} has {len(names)} columns of {what}, and one is needed; it has {', '.join(features)}"
        )
    return str(names[0])


def _own_px(store: HubStore) -> int | None:
    """Side of the images, by the headers of some, if these are square and small and share it."""
    from PIL import Image

    sizes = set()
    for position in store.sample():
        try:
            with Image.open(io.BytesIO(store.read(position))) as image:
                sizes.add(image.size)
        except Exception:  # whatever Pillow's plugins raise; reading it in earnest names it
            return None
    width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
    return width if width == height <= LARGEST_OWN_PX else None
