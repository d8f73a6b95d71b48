"""From a source's name or folder to a data set in memory."""

from __future__ import annotations

import functools
import os

from alexnet.config import UserError
from alexnet.data import sources
from alexnet.data.dataset import Dataset, Images, SplitName
from alexnet.data.source import OnProgress, Wanted
from alexnet.data.split import held_out


def load(
    source: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    image_px: int | None = None,
    default_px: int = 32,
    in_channels: int | None = None,
    val_fraction: float = 0.1,
    val_seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Read a data set's training images into memory; the test split is read when it is first asked for.

    Args:
        source: `cifar10`, `cifar100`, `fashion_mnist`, `mnist`, `digits`, or the path of a folder of images
            (`train/CLASS/*` with `test/` or `val/`, or just `CLASS/*`).
        root: for a name: where its files are, or are downloaded to; None: `$ALEXNET_DATA`, else
            `~/.cache/alexnet/data`. For a folder: what a relative path starts from.
        image_px: side every image is brought to; None: the images' own, if all training images are square and
            share one of at most 64 px, otherwise `default_px`.
        default_px: see `image_px`.
        in_channels: 1 (grey) or 3 (RGB); None: what the source's images are, RGB for a folder.
        val_fraction: share of each class's training images held out, in [0, 1); 0: none. A folder's own `val/`
            beside a `test/` is taken instead of cutting.
        val_seed: decides which images are held out.
        on_progress: called with the number of images decoded and their total, not if they were cached.

    Raises:
        UserError: there is no such source, its files are missing or broken, or a value is out of range.
    """
    _check_range(image_px, default_px, in_channels, val_fraction)
    found = sources.find(source, root)
    wanted = Wanted(image_px, default_px, in_channels or found.in_channels, on_progress)
    train = found.read("train", wanted)
    px = int(train.pixels_NHWC.shape[1])
    wanted = Wanted(px, px, wanted.in_channels, on_progress)
    val: Images | None = None
    if "val" in found.splits:
        val = found.read("val", wanted) if val_fraction > 0 else None
        how = "the source's own" if val_fraction > 0 else "the source's own, not used"
    else:
        train, val = held_out(train, val_fraction, val_seed)
        if val is not None and not len(val):
            raise UserError(f"{os.fspath(source)} has one image a class, none to hold out: set val_fraction to 0")
        how = f"{val_fraction} of each class of train, seed {val_seed}" if val_fraction > 0 else "none"
    return Dataset(
        name=os.fspath(source),
        class_names=found.class_names,
        train=train,
        val=val,
        open_test=functools.cache(lambda: found.read("test", wanted)),
        origin={
            "source": os.fspath(source),
            **found.origin,
            "val": how,
            "images": {"train": len(train), "val": 0 if val is None else len(val)},
            "image_px": px,
            "channels": wanted.in_channels,
        },
    )


def load_split(
    source: str | os.PathLike[str],
    split: SplitName,
    *,
    image_px: int,
    in_channels: int,
    root: str | os.PathLike[str] | None = None,
    val_fraction: float = 0.1,
    val_seed: int = 0,
) -> tuple[Images, tuple[str, ...]]:
    """Read one split of a data set, for a network whose input is known, and the names its labels stand for.

    The arguments are those of `load`, which cuts the same splits but always reads the training images.

    Raises:
        UserError: as `load`; or `split` is val and there is none.
    """
    found = sources.find(source, root)
    if split == "test" or (split == "val" and "val" in found.splits):
        _check_range(image_px, image_px, in_channels, val_fraction)
        return found.read(split, Wanted(image_px, image_px, in_channels)), found.class_names
    dataset = load(
        source, root=root, image_px=image_px, in_channels=in_channels, val_fraction=val_fraction, val_seed=val_seed
    )
    return dataset.split(split), dataset.class_names


def _check_range(image_px: int | None, default_px: int, in_channels: int | None, val_fraction: float) -> None:
    if image_px is not None and image_px < 1:
        raise UserError(f"image_px must be 1 or more, not {image_px}")
    if default_px < 1:
        raise UserError(f"default_px must be 1 or more, not {default_px}")
    if in_channels not in (None, 1, 3):
        raise UserError(f"in_channels must be 1 (grey) or 3 (RGB), not {in_channels}")
    if not 0 <= val_fraction < 1:
        raise UserError(f"val_fraction must lie in [0, 1), not {val_fraction}")
