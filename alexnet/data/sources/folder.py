"""Folders of images, a folder a class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet.config import Fit
from alexnet.data.dataset import Images, SplitName
from alexnet.data.images import cache, decode
from alexnet.data.images.arrays import allocate
from alexnet.data.images.streamed import FileStore, StreamedImages
from alexnet.data.sources.layout import Files, Folder, scan
from alexnet.data.sources.source import LARGEST_OWN_PX, BadFile, ImageSpec, Source
from alexnet.data.sources.survey import count_sizes, describe_bad, in_threads
from alexnet.errors import UserError
from alexnet.files import read_bytes, reason_of


def open_folder(path: Path) -> Source:
    """The folder of images at `path` as a source.

    Raises:
        UserError: the folder is not laid out as `scan` expects.
    """
    return source_of(scan(path))


def source_of(folder: Folder) -> Source:
    """What was found in a folder of images as a source.

    Raises:
        UserError: the folder is not laid out as `scan` expects.
    """
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
            "path": str(folder.path),
            "split": folder.split_rule,
            "files": {name: len(files.paths) for name, files in folder.splits.items()},
            "ignored_files": folder.ignored_files,
            "ignored_folders": list(folder.ignored_folders),
        },
    )


class _OtherSizeError(Exception):
    """An image's size is not that of the first."""


def _read(folder: Folder, split: SplitName, spec: ImageSpec) -> Images:
    """The images of one split, from the decoded cache if their files are as they were."""
    files = _files(folder, split)
    content = hash_files(folder.path, files.paths)
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
        fit=spec.fit,
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
    """The images fitted to the requested side."""
    image_px = spec.image_px or spec.default_px
    form = f"{image_px} {spec.in_channels}" + ("" if spec.fit == "crop" else f" {spec.fit}")
    # Images found to have that side already are the same pixels under the other form's name.
    for known in (form, f"exactly {image_px} {spec.in_channels}"):
        pixels = cache.get(_key(known, content))
        if pixels is not None:
            return pixels
    pixels, content = _decode_all(root, paths, replace(spec, image_px=image_px), _decoding(spec.fit))
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


def hash_files(root: Path, paths: Sequence[str]) -> str:
    """Hash of the paths and contents of `paths`; a file that cannot be read counts as empty, decoding names it."""

    def hash_chunk(chunk: range) -> bytes:
        digest = hashlib.sha256()
        for i in chunk:
            try:
                data = read_bytes(f"{root}/{paths[i]}")
            except OSError:
                data = b""
            _add(digest, paths[i], data)
        return digest.digest()

    return hashlib.sha256(b"".join(in_threads(hash_chunk, len(paths)))).hexdigest()


def _add(digest: hashlib._Hash, path: str, data: bytes) -> None:
    digest.update(f"{path}\0{len(data)}\0".encode("utf-8", "surrogateescape"))
    digest.update(data)


def _decoding(fit: Fit) -> Callable[[NDArray[np.uint8], bytes, str], bool]:
    """What decodes an image of any size."""

    def decode_into(out_HWC: NDArray[np.uint8], data: bytes, name: str) -> bool:
        decode.decode_into(out_HWC, data, name, fit)
        return True

    return decode_into


def _decode_all(
    root: Path,
    paths: Sequence[str],
    spec: ImageSpec,
    decode_into: Callable[[NDArray[np.uint8], bytes, str], bool],
) -> tuple[NDArray[np.uint8], str]:
    """Decode `paths` as `spec` says, with the hash of what was read, as `hash_files` makes it.

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
                data = read_bytes(f"{root}/{paths[i]}")
                if not decode_into(pixels_NHWC[i], data, paths[i]):
                    raise _OtherSizeError
            except decode.BadImageError as error:
                bad.append(BadFile(f"{root}/{paths[i]}", error.reason))
            except OSError as error:
                bad.append(BadFile(f"{root}/{paths[i]}", reason_of(error)))
            _add(digest, paths[i], data)
        return digest.digest(), bad

    digests, bad_files = [], []
    for digest, bad in in_threads(decode_chunk, len(paths), spec.on_progress):
        digests.append(digest)
        bad_files += bad
    if bad_files:
        raise UserError(describe_bad(root, bad_files))
    return pixels_NHWC, hashlib.sha256(b"".join(digests)).hexdigest()
