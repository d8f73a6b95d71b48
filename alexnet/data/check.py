"""Looking at a source without loading it: what it holds, and which of its files are broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alexnet.data.images import decode
from alexnet.data.images.streamed import StreamedImages
from alexnet.data.sources import layout, registry, shards, survey
from alexnet.data.sources.hub import is_hub
from alexnet.data.sources.source import BadFile, ImageSpec, OnProgress, Source
from alexnet.data.sources.survey import in_threads
from alexnet.errors import UserError
from alexnet.files import reason_of

_SAMPLED_FILES = 200


@dataclass(frozen=True)
class CheckReport:
    """What `check` found."""

    images: dict[str, int]
    """Image files, or images in arrays, of each split, broken ones included."""
    ignored_files: int
    """Files that are no images by their name."""
    bad: tuple[BadFile, ...]
    """Each file or folder that keeps the source from being used, and why."""


def check(
    source: registry.FileName, *, root: registry.FileName | None = None, on_progress: OnProgress | None = None
) -> CheckReport:
    """Decode every image of every split, and report what is wrong; nothing is downloaded.

    Args:
        source: a source's name or a folder, as `load` takes it.
        root: as `load` takes it.
        on_progress: called with the number of images done and their total.

    Raises:
        UserError: there is no such source here.
    """
    if is_hub(source):
        return _check_streams(registry.find(source, root), [], on_progress)
    path = _as_folder(source, root)
    if path is None:
        return _check_arrays(source, root)
    if shards.has_shards(path):
        return _check_shards(path, on_progress)
    return _check_folder(layout.scan(path), on_progress)


def describe(source: registry.FileName, *, root: registry.FileName | None = None) -> dict[str, Any]:
    """What a source holds, as plain JSON values, without reading more than a sample of it.

    Returns:
        `source`, `available` (are its files here), `path`, `split` (how it is split), `classes` (names, or None
        where only the files say), `images` (count of each split), `images_per_class` (folders only), `sizes` and
        `modes` (how often each occurs among `sampled` images), `ignored_files`.

    Raises:
        UserError: `source` is neither a name nor a folder.
    """
    if is_hub(source):
        return {"source": str(source), "available": True, **_describe_streams(registry.find(source, root))}
    path = _as_folder(source, root)
    if path is not None:
        described = _describe_shards(path) if shards.has_shards(path) else _describe_folder(layout.scan(path))
        return {"source": str(source), "available": True, **described}
    facts = registry.SOURCES[str(source)]
    known: dict[str, Any] = {
        "source": str(source),
        "title": facts.title,
        "available": False,
        "path": None,
        "split": None,
        "classes": None if facts.class_names is None else list(facts.class_names),
        "images": {"train": facts.train_images, "test": facts.test_images},
        "sizes": {f"{facts.px}x{facts.px}": facts.train_images + facts.test_images},
        "modes": {"L" if facts.in_channels == 1 else "RGB": facts.train_images + facts.test_images},
        "sampled": 0,
        "ignored_files": 0,
    }
    try:
        found = registry.find(source, root, may_download=False)
    except UserError:
        return known
    return {**known, "available": True, "classes": list(found.class_names), **found.origin}


def _as_folder(source: registry.FileName, root: registry.FileName | None) -> Path | None:
    """The folder of images that `source` means; None for a name whose files are arrays, or are not here."""
    if str(source) not in registry.SOURCES:
        return registry.folder_of(source, root)
    if root is not None and str(source) in ("cifar10", "cifar100"):
        place = Path(root).expanduser()
        if layout.has_splits(place):
            return place
    return None


def _check_arrays(source: registry.FileName, root: registry.FileName | None) -> CheckReport:
    found = registry.find(source, root, may_download=False)
    spec = ImageSpec(None, 32, found.in_channels)
    images: dict[str, int] = {}
    bad = []
    for split in found.splits:
        try:
            images[split] = len(found.read(split, spec))
        except UserError as error:
            bad.append(BadFile(str(found.origin["path"]), str(error)))
    return CheckReport(images, 0, tuple(bad))


def _check_folder(folder: layout.Folder, on_progress: OnProgress | None) -> CheckReport:
    paths = [path for files in folder.splits.values() for path in files.paths]
    return CheckReport(
        images={split: len(files.paths) for split, files in folder.splits.items()},
        ignored_files=folder.ignored_files,
        bad=folder.problems + tuple(survey.find_bad(folder.path, paths, on_progress)),
    )


def _check_shards(path: Path, on_progress: OnProgress | None) -> CheckReport:
    """Compare each shard with its check sum, if the manifest has one, and decode every image."""
    bad = [BadFile(str(path / file), reason) for file, reason in shards.find_changed(path)]
    return _check_streams(shards.open_shards(path), bad, on_progress)


def _check_streams(source: Source, bad: list[BadFile], on_progress: OnProgress | None) -> CheckReport:
    """Decode every image; what was found bad before comes first."""
    images: dict[str, int] = {}
    for split in source.splits:
        streamed = shards.stream(source, split)
        images[split] = len(streamed)
        bad += _find_bad(streamed, on_progress)
    return CheckReport(images, 0, tuple(bad))


def _find_bad(images: StreamedImages, on_progress: OnProgress | None) -> list[BadFile]:
    def check(turn: range) -> list[BadFile]:
        bad = []
        for position in images.position_N[turn.start : turn.stop].tolist():
            try:
                decode.decode_pixels(images.store.read(position), images.image_px, images.in_channels, "")
            except decode.BadImageError as error:
                bad.append(BadFile(images.store.path(position), error.reason))
            except OSError as error:
                bad.append(BadFile(images.store.path(position), reason_of(error)))
        return bad

    return [bad for found in in_threads(check, len(images), on_progress) for bad in found]


def _describe_shards(path: Path) -> dict[str, Any]:
    source = shards.open_shards(path)
    return {**_describe_streams(source), "shards": source.origin["shards"]}


def _describe_streams(source: Source) -> dict[str, Any]:
    labels = {split: shards.stream(source, split).labels_N.tolist() for split in source.splits}
    return {
        "path": source.origin["path"],
        "split": source.origin["split"],
        "classes": list(source.class_names),
        "images": source.origin["files"],
        "images_per_class": {split: _per_class(source.class_names, found) for split, found in labels.items()},
        "ignored_files": 0,
    }


def _describe_folder(folder: layout.Folder) -> dict[str, Any]:
    sample = _sample([path for files in folder.splits.values() for path in files.paths])
    sizes, modes = survey.count_sizes(folder.path, sample)
    return {
        "path": str(folder.path),
        "split": folder.split_rule,
        "classes": list(folder.class_names),
        "images": {split: len(files.paths) for split, files in folder.splits.items()},
        "images_per_class": {
            split: _per_class(folder.class_names, files.labels) for split, files in folder.splits.items()
        },
        "sizes": dict(sizes.most_common()),
        "modes": dict(modes.most_common()),
        "sampled": len(sample),
        "ignored_files": folder.ignored_files,
        "problems": [asdict(problem) for problem in folder.problems],
    }


def _per_class(class_names: Sequence[str], labels: Sequence[int]) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[label] for label, name in enumerate(class_names)}


def _sample(paths: Sequence[str]) -> list[str]:
    """At most `_SAMPLED_FILES` of `paths`, evenly spread."""
    count = min(len(paths), _SAMPLED_FILES)
    return [paths[i * len(paths) // count] for i in range(count)]
