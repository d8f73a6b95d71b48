"""Which image files a folder holds, of which classes, in which splits; no file is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexnet.data.dataset import SplitName
from alexnet.data.images import decode
from alexnet.data.sources import imagenet
from alexnet.data.sources.source import BadFile
from alexnet.data.split import TEST_SHARE, hashed_test
from alexnet.errors import UserError
from alexnet.files import reason_of

_VAL_NAMES = ("val", "valid", "validation")
SET_ASIDE = "_set_aside"
"""Folder of files that `alexnet data clean` moved away; no class."""


@dataclass(frozen=True)
class Files:
    """The image files of one split, in order: class by class, sorted by path."""

    paths: tuple[str, ...]
    """Relative to the source's folder, with forward slashes."""
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Folder:
    """What lies in a folder of images, and into which splits it was put."""

    path: Path
    class_names: tuple[str, ...]
    splits: dict[SplitName, Files]
    split_rule: str
    """How the splits came about, in a sentence."""
    ignored_files: int
    """Files that are no images by their name."""
    ignored_folders: tuple[str, ...]
    """Folders beside train/ that are no split."""
    problems: tuple[BadFile, ...]
    """What keeps the folder from being used, except for broken images."""


def has_splits(path: Path) -> bool:
    """Whether `path` is a folder of images laid out as `train/CLASS/*`."""
    train = path / "train"
    return train.is_dir() and any(below.is_dir() for below in train.iterdir())


def image_files(path: Path) -> list[Path]:
    """The image files in the folder `path` and in all folders below it, sorted; recognised by their names alone."""
    members: list[str] = []
    _walk(str(path), "", members)
    return [path / member for member in sorted(members)]


def scan(path: Path) -> Folder:
    """List the images in `path` and put them into splits; no file is opened.

    Two layouts are known: `train/CLASS/*` with `test/` or `val/` (or both) beside it, and `CLASS/*`. Images may
    lie in folders below that of their class. What cannot be used is listed in the result's `problems`.

    Raises:
        UserError: there is no such folder, or it cannot be listed.
    """
    try:
        top = {below.name for below in path.iterdir() if below.is_dir() and not _is_hidden(below.name)}
        return _scan_split(path, top) if "train" in top else _scan_flat(path, top)
    except OSError as error:
        raise UserError(f"cannot list the folder {error.filename or path}: {reason_of(error)}") from error


def _scan_split(path: Path, top: set[str]) -> Folder:
    found = {"train": _list_classes(path, "train")}
    val_name = next((name for name in _VAL_NAMES if name in top), None)
    if val_name is not None:
        found["val"] = _list_classes(path, val_name)
    if "test" in top:
        found["test"] = _list_classes(path, "test")
    class_names = tuple(sorted(found["train"].by_class))
    problems = _problems(path / "train", class_names)
    for role in [role for role in found if role != "train"]:
        unlabelled = _label_flat(path, found, role, class_names)
        if unlabelled is not None:
            problems.append(unlabelled)
    for listing in found.values():
        problems += listing.empty_folders(path)
        problems += [
            BadFile(str(path / listing.name / name), "a class that train/ does not have; remove it, or add it there")
            for name in sorted(set(listing.by_class) - set(class_names))
        ]
    splits, rule = _assign(found, class_names)
    ignored = sum(listing.ignored for listing in found.values())
    unused = tuple(sorted(top - {listing.name for listing in found.values()}))
    return Folder(path, imagenet.readable(class_names, path), splits, rule, ignored, unused, tuple(problems))


def _label_flat(path: Path, found: dict[str, _Listing], role: str, class_names: Sequence[str]) -> BadFile | None:
    """Put a split's images into classes where its folder does not, as in ImageNet; says what keeps it from that.

    Test images whose classes nothing says, as ImageNet's, are no use: `val/` serves instead, and theirs is dropped
    from `found`.
    """
    listing = found[role]
    if set(listing.by_class) & set(class_names) or set(listing.by_class) - {"images"}:
        return None
    images: list[str] = []
    ignored = _walk(str(path / listing.name), f"{listing.name}/", images)
    if not images:
        return None
    try:
        classes = imagenet.flat_classes(path / listing.name, images) if role != "test" else None
    except UserError as error:
        return BadFile(str(path / listing.name), str(error))
    if classes is not None:
        by_class: dict[str, list[str]] = {}
        for image, name in classes.items():
            by_class.setdefault(name, []).append(image)
        found[role] = _Listing(listing.name, by_class, ignored)
        return None
    if role == "test" and "val" in found:
        del found[role]
        return None
    lists = ", ".join(imagenet.CLASS_LISTS)
    why = f"images outside of class folders, and none of {lists} beside them says their classes"
    return BadFile(str(path / listing.name), why)


def _assign(found: dict[str, _Listing], class_names: Sequence[str]) -> tuple[dict[SplitName, Files], str]:
    train = found["train"].files(class_names)
    val = found["val"].files(class_names) if "val" in found else None
    if "test" in found:
        test = found["test"].files(class_names)
        if val is None:
            return {"train": train, "test": test}, "train/ and test/ as found"
        return {"train": train, "val": val, "test": test}, f"train/, {found['val'].name}/ and test/ as found"
    if val is not None:
        name = found["val"].name
        return {
            "train": train,
            "test": val,
        }, f"train/ as found; {name}/ serves as the test split, as there is no test/"
    return _split_by_hash(train)


def _scan_flat(path: Path, top: set[str]) -> Folder:
    listing = _list_classes(path, "")
    class_names = tuple(sorted(listing.by_class))
    lonely = sorted(top & {"test", *_VAL_NAMES})
    if lonely:
        why = f"there is {lonely[0]}/ but no train/; name the training images' folder train"
        problems = [BadFile(str(path), f"{why} (no class can be called {lonely[0]})")]
    else:
        problems = _problems(path, class_names) + listing.empty_folders(path)
    splits, rule = _split_by_hash(listing.files(class_names))
    class_names = imagenet.readable(class_names, path)
    return Folder(path, class_names, splits, rule, listing.ignored, (), tuple(problems))


def _split_by_hash(files: Files) -> tuple[dict[SplitName, Files], str]:
    is_test = hashed_test(files.paths, files.labels)
    rule = (
        f"no test split found: a file is a test image where SHA-256 of its path, as a fraction, is below "
        f"{TEST_SHARE}, with at least one in each class of two or more"
    )
    return {"train": _where(files, [not test for test in is_test]), "test": _where(files, is_test)}, rule


def _where(files: Files, chosen: Sequence[bool]) -> Files:
    kept = [i for i, choose in enumerate(chosen) if choose]
    return Files(tuple(files.paths[i] for i in kept), tuple(files.labels[i] for i in kept))


def _problems(path: Path, class_names: Sequence[str]) -> list[BadFile]:
    if len(class_names) >= 2:
        return []
    found = f"one class only, {class_names[0]}" if class_names else "no folders of images"
    return [BadFile(str(path), f"{found}; put the images of each of two or more classes into its own folder")]


@dataclass
class _Listing:
    """The class folders of one split's folder."""

    name: str
    """The folder, relative to the source's; empty for the source's own."""
    by_class: dict[str, list[str]]
    """Paths of each class's images, relative to the source's folder."""
    ignored: int

    def files(self, class_names: Sequence[str]) -> Files:
        paths, labels = [], []
        for label, class_name in enumerate(class_names):
            members = sorted(self.by_class.get(class_name, ()))
            paths += members
            labels += [label] * len(members)
        return Files(tuple(paths), tuple(labels))

    def empty_folders(self, path: Path) -> list[BadFile]:
        return [
            BadFile(str(path / self.name / name), "no image in this class's folder; add some, or remove the folder")
            for name, members in sorted(self.by_class.items())
            if not members
        ]


def _list_classes(path: Path, name: str) -> _Listing:
    listing = _Listing(name, {}, 0)
    prefix = f"{name}/" if name else ""
    for below in (path / name).iterdir():
        if not below.is_dir():
            listing.ignored += 1
        elif not _is_hidden(below.name):
            members: list[str] = []
            listing.ignored += _walk(str(below), f"{prefix}{below.name}/", members)
            listing.by_class[below.name] = members
    return listing


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == SET_ASIDE


def _walk(folder: str, prefix: str, members: list[str]) -> int:
    """Add to `members` the images in `folder` and below; returns how many files were none."""
    ignored = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                ignored += 1
            # Links to folders are not followed below a class: they may lead back up.
            elif entry.is_dir(follow_symlinks=False):
                ignored += _walk(entry.path, f"{prefix}{name}/", members)
            elif os.path.splitext(name)[1].lower() in decode.EXTENSIONS:  # noqa: PTH122 - Path is 10 times slower
                members.append(prefix + name)
            else:
                ignored += 1
    return ignored
