"""Folders of images, a folder a class."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet.data.dataset import Images, SplitName
from alexnet.data.images import cache, decode
from alexnet.data.images.arrays import allocate
from alexnet.data.images.streamed import FileStore, StreamedImages
from alexnet.data.sources import imagenet
from alexnet.data.sources.source import BadFile, ImageSpec, OnProgress, Source
from alexnet.data.split import TEST_SHARE, hashed_test
from alexnet.errors import UserError
from alexnet.system import usable_cores

LARGEST_OWN_PX = 64
"""Square images of one size up to this side are taken as they are."""

_VAL_NAMES = ("val", "valid", "validation")
_CHUNK_FILES = 256
_NAMED_FILES = 5

_T = TypeVar("_T")


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


def open_folder(path: Path) -> Source:
    """The folder of images at `path` as a source.

    Raises:
        UserError: the folder is not laid out as `scan` expects.
    """
    folder = scan(path)
    if folder.problems:
        problem = folder.problems[0]
        raise UserError(f"{problem.path}: {problem.reason}")
    return Source(
        class_names=folder.class_names,
        in_channels=3,
        read=lambda split, spec: _read(folder, split, spec),
        stream=lambda split, spec: _stream(folder, split, spec),
        n_images=sum(len(files.paths) for files in folder.splits.values()),
        splits=tuple(folder.splits),
        origin={
            "path": str(path),
            "split": folder.split_rule,
            "files": {name: len(files.paths) for name, files in folder.splits.items()},
            "ignored_files": folder.ignored_files,
            "ignored_folders": list(folder.ignored_folders),
        },
    )


def has_splits(path: Path) -> bool:
    """Whether `path` is a folder of images laid out as `train/CLASS/*`."""
    train = path / "train"
    return train.is_dir() and any(below.is_dir() for below in train.iterdir())


def image_files(path: Path) -> list[Path]:
    """The image files in the folder `path` and in all folders below it, sorted; recognised by their names alone."""
    members: list[str] = []
    _walk(str(path), "", members)
    return [path / member for member in sorted(members)]


# --- finding the files -------------------------------------------------------------------------------------------


def scan(path: Path) -> Folder:
    """List the images in `path` and put them into splits; no file is opened.

    Two layouts are known: `train/CLASS/*` with `test/` or `val/` (or both) beside it, and `CLASS/*`. Images may
    lie in folders below that of their class. What cannot be used is listed in the result's `problems`.

    Raises:
        UserError: there is no such folder, or it cannot be listed.
    """
    try:
        top = {below.name for below in path.iterdir() if below.is_dir() and not below.name.startswith(".")}
        return _scan_split(path, top) if "train" in top else _scan_flat(path, top)
    except OSError as error:
        raise UserError(f"cannot list the folder {error.filename or path}: {decode.reason_of(error)}") from error


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
    return [BadFile(str(path), f"{found}; put the images of each of two or more classes into a folder of its own")]


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
        elif not below.name.startswith("."):
            members: list[str] = []
            listing.ignored += _walk(str(below), f"{prefix}{below.name}/", members)
            listing.by_class[below.name] = members
    return listing


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


# --- reading them ------------------------------------------------------------------------------------------------


class _OtherSizeError(Exception):
    """An image's size is not that of the first."""


def _read(folder: Folder, split: SplitName, spec: ImageSpec) -> Images:
    """The images of one split, from the decoded cache if their files are as they were."""
    files = _files(folder, split)
    content = _hash_files(folder.path, files.paths)
    pixels = None
    if spec.image_px is None:
        pixels = _read_own_size(folder.path, files.paths, spec, content)
    if pixels is None:
        pixels = _read_fitted(folder.path, files.paths, spec, content)
    return Images(torch.from_numpy(pixels), torch.tensor(files.labels, dtype=torch.int64), files.paths)


def _stream(folder: Folder, split: SplitName, spec: ImageSpec) -> StreamedImages:
    """The images of one split where they lie."""
    files = _files(folder, split)
    return StreamedImages(
        store=FileStore(folder.path, files.paths),
        position_N=torch.arange(len(files.paths)),
        labels_N=torch.tensor(files.labels, dtype=torch.int64),
        image_px=spec.image_px or _shared_px(folder.path, files.paths) or spec.default_px,
        in_channels=spec.in_channels,
    )


def _files(folder: Folder, split: SplitName) -> Files:
    files = folder.splits[split]
    if not files.paths:
        raise UserError(f"{folder.path} has no {split} images ({folder.split_rule}): add some")
    return files


def _shared_px(root: Path, paths: Sequence[str]) -> int | None:
    """Side of the images, by their headers, if all are square and small and share it."""
    px = _own_px(root, paths[0])
    if px is None:
        return None
    sizes = in_threads(lambda chunk: set(count_sizes(root, [paths[i] for i in chunk])[0]), len(paths))
    return px if set().union(*sizes) == {f"{px}x{px}"} else None


def _read_own_size(root: Path, paths: Sequence[str], spec: ImageSpec, content: str) -> NDArray[np.uint8] | None:
    """The images as they are; None if they do not share one small square size."""
    own_px = _own_px(root, paths[0])
    if own_px is None:
        return None
    form = f"exactly {own_px} {spec.in_channels}"
    pixels = cache.get(_key(form, content))
    if pixels is None:
        try:
            pixels, content = _decode_all(root, paths, replace(spec, image_px=own_px), decode.decode_exactly_into)
        except _OtherSizeError:
            return None
        cache.put(_key(form, content), pixels)
    return pixels


def _read_fitted(root: Path, paths: Sequence[str], spec: ImageSpec, content: str) -> NDArray[np.uint8]:
    """The images fitted to the wanted side."""
    image_px = spec.image_px or spec.default_px
    form = f"{image_px} {spec.in_channels}"
    # Images found to have that side already are the same pixels under the other form's name.
    for known in (form, f"exactly {form}"):
        pixels = cache.get(_key(known, content))
        if pixels is not None:
            return pixels
    pixels, content = _decode_all(root, paths, replace(spec, image_px=image_px), _decode_any_size_into)
    # Under the hash of what was decoded, which is another if files changed since they were first hashed.
    cache.put(_key(form, content), pixels)
    return pixels


def _key(form: str, content: str) -> str:
    """Names the decoded form of files with the hash `content` in the cache."""
    return hashlib.sha256(f"v{decode.VERSION} {form} {content}".encode()).hexdigest()[:40]


def _own_px(root: Path, path: str) -> int | None:
    """Side of an image if it is square and small; None otherwise, and where it cannot be read."""
    try:
        width, height = decode.decode_image(f"{root}/{path}").size
    except UserError:
        return None
    return width if width == height <= LARGEST_OWN_PX else None


def _hash_files(root: Path, paths: Sequence[str]) -> str:
    """Hash of the paths and contents of `paths`; a file that cannot be read counts as empty, decoding names it."""

    def hash_chunk(chunk: range) -> bytes:
        digest = hashlib.sha256()
        for i in chunk:
            try:
                data = decode.read_bytes(f"{root}/{paths[i]}")
            except OSError:
                data = b""
            _add(digest, paths[i], data)
        return digest.digest()

    return hashlib.sha256(b"".join(in_threads(hash_chunk, len(paths)))).hexdigest()


def _add(digest: hashlib._Hash, path: str, data: bytes) -> None:
    digest.update(f"{path}\0{len(data)}\0".encode("utf-8", "surrogateescape"))
    digest.update(data)


def _decode_any_size_into(out_HWC: NDArray[np.uint8], data: bytes, name: str) -> bool:
    decode.decode_into(out_HWC, data, name)
    return True


def _decode_all(
    root: Path,
    paths: Sequence[str],
    spec: ImageSpec,
    decode_into: Callable[[NDArray[np.uint8], bytes, str], bool],
) -> tuple[NDArray[np.uint8], str]:
    """Decode `paths` to the form `wanted`, with the hash of what was read, as `_hash_files` makes it.

    Raises:
        UserError: some files cannot be read, or the images are too many for this machine's memory.
        _OtherSizeError: `decode_into` found an image of another size.
    """
    image_px = spec.image_px or spec.default_px
    pixels_NHWC = allocate((len(paths), image_px, image_px, spec.in_channels))

    def decode_chunk(chunk: range) -> tuple[bytes, list[BadFile]]:
        digest, bad = hashlib.sha256(), []
        for i in chunk:
            data = b""
            try:
                data = decode.read_bytes(f"{root}/{paths[i]}")
                if not decode_into(pixels_NHWC[i], data, paths[i]):
                    raise _OtherSizeError
            except decode.BadImageError as error:
                bad.append(BadFile(f"{root}/{paths[i]}", error.reason))
            except OSError as error:
                bad.append(BadFile(f"{root}/{paths[i]}", decode.reason_of(error)))
            _add(digest, paths[i], data)
        return digest.digest(), bad

    digests, bad_files = [], []
    for digest, bad in in_threads(decode_chunk, len(paths), spec.on_progress):
        digests.append(digest)
        bad_files += bad
    if bad_files:
        raise UserError(describe_bad(root, bad_files))
    return pixels_NHWC, hashlib.sha256(b"".join(digests)).hexdigest()


def find_bad(root: Path, paths: Sequence[str], on_progress: OnProgress | None = None) -> list[BadFile]:
    """The files among `paths` that cannot be decoded, each with the reason."""

    def check_chunk(chunk: range) -> list[BadFile]:
        bad = []
        for i in chunk:
            path = f"{root}/{paths[i]}"
            try:
                # Fitted as for a small network: the file is read to its end, a huge JPEG is not unfolded whole.
                decode.decode_image(path, image_px=LARGEST_OWN_PX)
            except decode.BadImageError as error:
                bad.append(BadFile(path, error.reason))
        return bad

    return [bad for chunk in in_threads(check_chunk, len(paths), on_progress) for bad in chunk]


def describe_bad(root: Path, bad: Sequence[BadFile]) -> str:
    """The first few of the bad files with their reasons, and what to do."""
    named = "; ".join(f"{file.path} ({file.reason})" for file in bad[:_NAMED_FILES])
    more = f"; and {len(bad) - _NAMED_FILES} more" if len(bad) > _NAMED_FILES else ""
    count = "1 image" if len(bad) == 1 else f"{len(bad)} images"
    return f"{count} cannot be read: {named}{more}. `alexnet data check {root}` lists all; mend or remove them"


def in_threads(work: Callable[[range], _T], total: int, on_progress: OnProgress | None = None) -> Iterator[_T]:
    """Results of `work` on chunks of 0..total, in order, computed in threads; the first exception ends all."""
    chunks = [range(start, min(start + _CHUNK_FILES, total)) for start in range(0, total, _CHUNK_FILES)]
    executor = ThreadPoolExecutor(max_workers=min(usable_cores(), 16))
    try:
        for chunk, result in zip(chunks, executor.map(work, chunks), strict=True):
            if on_progress is not None:
                on_progress(chunk.stop, total)
            yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def count_sizes(root: Path, paths: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each size (`32x32`) and each of Pillow's modes occurs in `paths`, from the files' headers."""
    from PIL import Image

    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    for path in paths:
        try:
            with os.fdopen(decode.open_regular(root / path), "rb") as file, Image.open(file) as image:
                sizes[f"{image.width}x{image.height}"] += 1
                modes[image.mode] += 1
        except Exception:  # whatever Pillow's plugins raise on a broken header
            modes["unreadable"] += 1
    return sizes, modes
