"""Images that the caller holds already: arrays, and data sets of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from alexnet.data.dataset import Images, SplitName
from alexnet.data.images.arrays import fit_array
from alexnet.data.images.decode import fit_image
from alexnet.data.sources.source import LARGEST_OWN_PX, ImageSpec, Source
from alexnet.data.split import TEST_SHARE, stratified
from alexnet.errors import UserError

_Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]


def from_arrays(
    images_NHWC: ArrayLike | Tensor,
    labels_N: ArrayLike | Tensor,
    class_names: Sequence[str],
    *,
    test: tuple[ArrayLike | Tensor, ArrayLike | Tensor] | None = None,
    name: str = "arrays",
) -> Source:
    """A source of images that are in memory, for `alexnet.train`, `alexnet.data.load` and `alexnet.evaluate`.

    The arrays are read when they are loaded, and never changed.

    Args:
        images_NHWC: uint8 [N, H, W, C] with C = 1 (grey) or 3 (RGB), or [N, H, W] (grey); numpy or torch.
        labels_N: integers [N] in 0..K-1, positions in `class_names`.
        class_names: K names.
        test: images and labels of the test split in the same form; None: 20% of each class, always the same ones.
        name: what reports and messages call the data.

    Raises:
        UserError: shape, dtype or labels do not fit; says what to change.
    """
    if isinstance(class_names, str):
        raise UserError(f"class_names is the text {class_names!r}: give a list, a name for each class")
    names = tuple(str(each) for each in class_names)
    if len(set(names)) < len(names):
        raise UserError("class_names holds a name twice: give every class its own name")
    train = _checked(images_NHWC, labels_N, len(names), "the images")
    parts = {"train": train, "test": _checked(*test, len(names), "the test images")} if test else _cut(train)
    channels = {part[0].shape[3] for part in parts.values()}
    if len(channels) > 1:
        raise UserError("training and test images differ in channels: give both 1 or both 3")
    rule = "given" if test else f"{TEST_SHARE} of each class are for testing, drawn once and for all"

    def read(split: SplitName, spec: ImageSpec) -> Images:
        pixels_NHWC, labels = parts[split]
        H, W = pixels_NHWC.shape[1:3]
        own_px = H if H == W and H <= LARGEST_OWN_PX else spec.default_px
        return fit_array(pixels_NHWC.copy(), labels, own_px, spec)

    return _source(names, channels.pop(), read, name, rule)


def from_torch(
    dataset: Any, class_names: Sequence[str] | None = None, *, test: Any = None, name: str | None = None
) -> Source:
    """A source of the samples of a map-style `torch.utils.data.Dataset`, read once when they are loaded.

    Args:
        dataset: samples are (image, label): a PIL image or a uint8 tensor [C, H, W] or [H, W], and an integer.
        class_names: name of each label; None: `dataset.classes`, as torchvision has it, else the labels' numbers.
        test: a data set of the same form for the test split; None: 20% of each class, always the same ones.
        name: what reports and messages call the data; None: the data set's class.

    Raises:
        UserError: a sample has another form, for example because of a transform; says which, and what to change.
    """
    found = class_names if class_names is not None else getattr(dataset, "classes", None)
    images, labels = _samples(dataset)
    parts: dict[str, tuple[list[Any], NDArray[np.int64]]] = {"train": (images, labels)}
    if test is not None:
        parts["test"] = _samples(test)
    largest = max(int(part[1].max()) for part in parts.values())
    names = tuple(map(str, found)) if found is not None else tuple(map(str, range(largest + 1)))
    for part in parts.values():
        _check_labels(part[1], len(names), "the data set")
    if test is None:
        is_test = _drawn_for_test(labels)
        parts = {
            split: ([images[i] for i in np.flatnonzero(chosen)], labels[chosen])
            for split, chosen in (("train", ~is_test), ("test", is_test))
        }
    grey = all(image.ndim == 2 for part in parts.values() for image in part[0])
    rule = "given" if test is not None else f"{TEST_SHARE} of each class are for testing, drawn once and for all"

    def read(split: SplitName, spec: ImageSpec) -> Images:
        pixels, labels_N = parts[split]
        sides = {side for image in parts["train"][0] for side in image.shape[:2]}
        own = sides.pop() if len(sides) == 1 else None
        px = spec.image_px or (own if own is not None and own <= LARGEST_OWN_PX else spec.default_px)
        fitted = np.empty((len(pixels), px, px, spec.in_channels), np.uint8)
        for i, image in enumerate(pixels):
            fitted[i] = fit_image(image if image.ndim == 3 else image[:, :, None], px, spec.in_channels, spec.fit)
        return Images(torch.from_numpy(fitted), torch.from_numpy(labels_N))

    return _source(names, 1 if grey else 3, read, name or type(dataset).__name__, rule)


def _source(names: tuple[str, ...], channels: int, read: Any, name: str, rule: str) -> Source:
    origin = {"path": None, "in_memory": True, "split": rule}
    return Source(names, channels, read, ("train", "test"), origin, name=name)


def _checked(images: ArrayLike | Tensor, labels: ArrayLike | Tensor, classes: int, what: str) -> _Labelled:
    pixels = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if pixels.dtype != np.uint8:
        raise UserError(
            f"{what} are {pixels.dtype}, but must be uint8 in 0..255: for floats in 0..1 give "
            "(255 * images).round().astype('uint8')"
        )
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
        hint = ": move the channels last, images.transpose(0, 2, 3, 1)" if pixels.ndim == 4 else ""
        raise UserError(f"{what} have the shape {list(pixels.shape)}, not [N, H, W, C] with C = 1 or 3{hint}")
    found = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if found.ndim != 1 or len(found) != len(pixels) or not np.issubdtype(found.dtype, np.integer):
        raise UserError(
            f"{what} number {len(pixels)}, so labels must be {len(pixels)} integers, not {found.dtype} of the shape "
            f"{list(found.shape)}"
        )
    _check_labels(found, classes, what)
    if 0 in pixels.shape:
        raise UserError(f"{what} have the shape {list(pixels.shape)}: none of its sides may be 0")
    # Copied, so that what the caller does to the arrays later changes nothing here.
    return pixels.copy(), found.astype(np.int64)


def _check_labels(labels_N: NDArray[Any], classes: int, what: str) -> None:
    if len(labels_N) == 0:
        raise UserError(f"{what} are empty: give at least one image")
    low, high = int(labels_N.min()), int(labels_N.max())
    if low < 0 or high >= classes:
        raise UserError(
            f"labels of {what} lie in {low}..{high}, but there are {classes} class names (0..{classes - 1})"
        )


def _cut(train: _Labelled) -> dict[str, _Labelled]:
    pixels, labels = train
    is_test = _drawn_for_test(labels)
    return {"train": (pixels[~is_test], labels[~is_test]), "test": (pixels[is_test], labels[is_test])}


def _drawn_for_test(labels_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    is_test = np.zeros(len(labels_N), dtype=bool)
    is_test[stratified(torch.from_numpy(labels_N), TEST_SHARE, seed=0).numpy()] = True
    if not is_test.any():
        raise UserError("there is one image a class, none to test with: give more, or a test split of your own")
    return is_test


def _check_map_style(dataset: Any) -> None:
    kind = type(dataset).__name__
    if isinstance(dataset, torch.utils.data.DataLoader):
        raise UserError("a DataLoader gives batches: give its data set, loader.dataset, without transforms")
    if isinstance(dataset, torch.utils.data.IterableDataset):
        raise UserError(f"{kind} can only be iterated: a map-style data set, with len() and [i], is needed")
    if isinstance(dataset, tuple | list) and len(dataset) == 2 and all(hasattr(each, "shape") for each in dataset):
        raise UserError("arrays need names for their classes: alexnet.data.from_arrays(images, labels, class_names)")
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise UserError(
            f"{kind} is no data set: give a source's name, a folder, alexnet.data.from_arrays(...), or a map-style "
            "torch.utils.data.Dataset of (image, label)"
        )


def _samples(dataset: Any) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Pixels [H, W, 3] or [H, W] and the label of every sample."""
    _check_map_style(dataset)
    images, labels = [], []
    for i in range(len(dataset)):
        sample = dataset[i]
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise UserError(f"sample {i} of {type(dataset).__name__} is not a pair (image, label)")
        image, label = sample
        if isinstance(image, Image.Image):
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        elif isinstance(image, Tensor) and image.dtype == torch.uint8 and image.ndim in (2, 3):
            pixels = _last_channels(image, i, dataset)
        else:
            got = f"{image.dtype} tensor" if isinstance(image, Tensor) else type(image).__name__
            raise UserError(
                f"sample {i} of {type(dataset).__name__} is a {got}, not a PIL image or a uint8 tensor [C, H, W]: "
                "drop its transform, as the recipe scales and augments images itself"
            )
        if isinstance(label, Tensor) and label.numel() == 1 and not label.is_floating_point():
            label = label.item()
        if isinstance(label, bool) or not isinstance(label, int | np.integer):
            raise UserError(f"the label of sample {i} of {type(dataset).__name__} is {label!r}, not an integer")
        if 0 in pixels.shape:
            raise UserError(f"sample {i} of {type(dataset).__name__} has the shape {list(pixels.shape)}: no pixels")
        images.append(np.array(pixels))
        labels.append(int(label))
    if not images:
        raise UserError(f"{type(dataset).__name__} is empty: give at least one sample")
    return images, np.array(labels, dtype=np.int64)


def _last_channels(image: Tensor, i: int, dataset: Any) -> NDArray[np.uint8]:
    image = image.cpu()
    if image.ndim == 2:
        return image.numpy()
    if image.shape[0] not in (1, 3):
        raise UserError(
            f"sample {i} of {type(dataset).__name__} has the shape {list(image.shape)}, not [C, H, W] with C = 1 or 3"
        )
    return image[0].numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).contiguous().numpy()
