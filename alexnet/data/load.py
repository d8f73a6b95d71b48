"""From a source's name, a folder or data the caller holds to a data set."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, Literal

from alexnet import system
from alexnet.config import Fit
from alexnet.data.dataset import AnyImages, Dataset, SplitName
from alexnet.data.sources import registry
from alexnet.data.sources.in_memory import from_torch
from alexnet.data.sources.source import LARGEST_OWN_PX, ImageSpec, OnProgress, Source
from alexnet.data.split import held_out
from alexnet.distributed import own_share
from alexnet.errors import UserError

Streaming = Literal["auto", "always", "never"]

DataLike = str | os.PathLike[str] | Source | Dataset | Any
"""What is taken for a data set: a source's name or a folder, a `Source` (`from_arrays`, `from_torch`), a `Dataset`,
or a map-style `torch.utils.data.Dataset` of (PIL image or uint8 tensor, int)."""

_MEMORY_SHARE = 0.5
"""Of the memory that is free, what a data set may take before it is streamed."""


def source_name(source: DataLike) -> str:
    """The source as a run folder records it: a folder by its full path, a named source and data in memory by name."""
    if isinstance(source, str | os.PathLike):
        return str(Path(source).resolve()) if Path(source).is_dir() else os.fspath(source)
    return source.name if isinstance(source, Source | Dataset) else type(source).__name__


def load(
    source: DataLike,
    *,
    root: str | os.PathLike[str] | None = None,
    image_px: int | None = None,
    default_px: int = 32,
    resize_px: int | None = None,
    in_channels: int | None = None,
    val_fraction: float = 0.1,
    val_seed: int = 0,
    fit: Fit = "crop",
    stream: Streaming = "auto",
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Read a data set's training images into memory, or index them where they are many.

    The test split is opened when it is first asked for. In memory or streamed, the images are the same.

    Args:
        source: `cifar10`, `cifar100`, `fashion_mnist`, `mnist`, `digits`, `hf:OWNER/NAME`, or the path of a folder of
            images (`train/CLASS/*` with `test/` or `val/`, or just `CLASS/*`); or data in memory, see `DataLike`. A
            `Dataset` is returned as it is: it has been split, so `val_fraction` and `val_seed` do not apply.
        root: for a name: where its files are, or are downloaded to; None: `$ALEXNET_DATA`, else
            `~/.cache/alexnet/data`. For a folder: what a relative path starts from.
        image_px: side of the network's input; None: the images' own, if all training images are square and
            share one of at most 64 px, otherwise `default_px`.
        default_px: see `image_px`.
        resize_px: side of the squares that images are brought to and the network's input is cut from (Krizhevsky
            2012, sections 2 and 4.1: 256 for 224), at least `image_px`; None: the input's own.
        in_channels: 1 (grey) or 3 (RGB); None: what the source's images are, RGB for a folder.
        val_fraction: share of each class's training images held out, in [0, 1); 0: none. A folder's own `val/`
            beside a `test/` is taken instead of cutting.
        val_seed: decides which images are held out.
        fit: how images that are not square become so: `crop`, `pad` or `squash`, see `alexnet.card.Preprocessing`.
        stream: leave images on disk and decode them when they are needed: `auto`, if their pixels would take more
            than half of the free memory; `always`; or `never`.
        on_progress: called with the number of images decoded and their total, not if they were cached.

    Raises:
        UserError: there is no such source, its files are missing or broken, or a value is out of range.
    """
    if isinstance(source, Dataset):
        return _as_it_is(source, image_px, resize_px, in_channels, fit)
    _check_range(image_px, default_px, resize_px, in_channels, val_fraction)
    found, name = _find(source, root)
    crop_px = None if resize_px is None else image_px or default_px
    spec = ImageSpec(resize_px or image_px, default_px, in_channels or found.in_channels, on_progress, fit)
    streamed = _is_streamed(found, spec, stream)
    train = _open(found, "train", spec, streamed)
    px = train.image_px
    spec = ImageSpec(px, px, spec.in_channels, on_progress, fit)
    val: AnyImages | None = None
    if "val" in found.splits:
        val = _open(found, "val", spec, streamed) if val_fraction > 0 else None
        how = "the source's own" if val_fraction > 0 else "the source's own, not used"
    else:
        train, val = held_out(train, val_fraction, val_seed)
        if val is not None and not len(val):
            raise UserError(f"{name} has one image a class, none to hold out: set val_fraction to 0")
        how = f"{val_fraction} of each class of train, seed {val_seed}" if val_fraction > 0 else "none"
    return Dataset(
        name=name,
        class_names=found.class_names,
        train=train,
        val=val,
        open_test=functools.cache(lambda: _open(found, "test", spec, streamed)),
        origin={
            "source": name,
            **found.origin,
            "val": how,
            "images": {"train": len(train), "val": 0 if val is None else len(val)},
            "image_px": px,
            "channels": spec.in_channels,
            "streamed": streamed,
        },
        crop_px=crop_px,
        fit=fit,
    )


def load_split(
    source: DataLike,
    split: SplitName,
    *,
    image_px: int,
    in_channels: int,
    root: str | os.PathLike[str] | None = None,
    val_fraction: float = 0.1,
    val_seed: int = 0,
    fit: Fit = "crop",
    stream: Streaming = "auto",
) -> tuple[AnyImages, tuple[str, ...]]:
    """Read one split of a data set, for a network whose input is known, and the names its labels stand for.

    The arguments are those of `load`, which cuts the same splits but always reads the training images; `image_px`
    is the side that images are brought to, be the network's input as large or cut from it.

    Raises:
        UserError: as `load`; or `split` is val and there is none.
    """
    if isinstance(source, Dataset):
        return _as_it_is(source, None, image_px, in_channels, fit).split(split), source.class_names
    found, _ = _find(source, root)
    if split == "test" or (split == "val" and "val" in found.splits):
        _check_range(image_px, image_px, None, in_channels, val_fraction)
        spec = ImageSpec(image_px, image_px, in_channels, fit=fit)
        return _open(found, split, spec, _is_streamed(found, spec, stream)), found.class_names
    dataset = load(
        source,
        root=root,
        image_px=image_px,
        in_channels=in_channels,
        val_fraction=val_fraction,
        val_seed=val_seed,
        fit=fit,
        stream=stream,
    )
    return dataset.split(split), dataset.class_names


def _find(source: DataLike, root: str | os.PathLike[str] | None) -> tuple[Source, str]:
    """The source, and what it is called."""
    if isinstance(source, str | os.PathLike):
        return registry.find(source, root), os.fspath(source)
    if root is not None:
        raise UserError("root says where a named source's files are, and the images are in memory: drop root")
    found = source if isinstance(source, Source) else from_torch(source)
    return found, found.name


def _as_it_is(
    dataset: Dataset, image_px: int | None, resize_px: int | None, in_channels: int | None, fit: Fit
) -> Dataset:
    """`dataset`, if its images are as requested."""
    for name, asked, own in (
        ("image_px", image_px, dataset.image_px),
        ("resize_px", resize_px, dataset.train.image_px),
    ):
        if asked not in (None, own):
            raise UserError(f"{dataset.name} holds images of {own} px, not {asked}: load it with {name}={asked}")
    if in_channels not in (None, dataset.in_channels):
        raise UserError(f"{dataset.name} holds images of {dataset.in_channels} channels, not {in_channels}")
    if fit != dataset.fit:
        raise UserError(
            f"the images of {dataset.name} became square by {dataset.fit}, not {fit}: load it with fit={fit}"
        )
    return dataset


def _open(found: Source, split: SplitName, spec: ImageSpec, streamed: bool) -> AnyImages:
    return found.stream(split, spec) if streamed and found.stream is not None else found.read(split, spec)


def _is_streamed(found: Source, spec: ImageSpec, stream: Streaming) -> bool:
    if stream == "never":
        return False
    if found.stream is None:
        if stream == "always":
            named = found.origin["path"] or found.name
            raise UserError(f"{named} is read as a whole and cannot be streamed: leave stream at auto")
        return False
    if stream == "always":
        return True
    free = system.available_bytes()
    free = None if free is None else own_share(free)
    # The larger of the sides in question first: only near the bound need the images be looked at.
    px = spec.image_px or max(spec.default_px, LARGEST_OWN_PX)
    if free is None or _bytes(found, px, spec) <= _MEMORY_SHARE * free:
        return False
    return _bytes(found, found.stream("train", spec).image_px, spec) > _MEMORY_SHARE * free


def _bytes(found: Source, px: int, spec: ImageSpec) -> int:
    return found.n_images * px * px * spec.in_channels


def _check_range(
    image_px: int | None, default_px: int, resize_px: int | None, in_channels: int | None, val_fraction: float
) -> None:
    if image_px is not None and image_px < 1:
        raise UserError(f"image_px must be 1 or more, not {image_px}")
    if default_px < 1:
        raise UserError(f"default_px must be 1 or more, not {default_px}")
    if resize_px is not None and resize_px < (image_px or default_px):
        raise UserError(f"resize_px ({resize_px}) must be at least the network's input, {image_px or default_px}")
    if in_channels not in (None, 1, 3):
        raise UserError(f"in_channels must be 1 (grey) or 3 (RGB), not {in_channels}")
    if not 0 <= val_fraction < 1:
        raise UserError(f"val_fraction must lie in [0, 1), not {val_fraction}")
