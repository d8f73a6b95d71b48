"""A data set's images, made small once and packed into tar files (WebDataset shards) that `shards` reads.

Shards are made by several processes, each shard whole or not at all, so packing can be killed and run again. The same
images and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from alexnet import lock
from alexnet.data.images import decode
from alexnet.data.load import DataLike, load
from alexnet.data.sources import shards
from alexnet.data.sources.layout import Folder, scan
from alexnet.data.sources.registry import SOURCES, folder_of
from alexnet.data.sources.shard_writer import PackOptions, Record, Shard, read_record, write_shard
from alexnet.data.sources.source import BadFile, OnProgress
from alexnet.data.sources.survey import describe_bad
from alexnet.data.sources.tar_index import ENTRY, FORMAT, Index
from alexnet.data.to_files import write_files
from alexnet.data.transforms.statistics import Moments
from alexnet.errors import UserError
from alexnet.files import atomic_write, write_json
from alexnet.system import usable_cores

OnBad = Literal["stop", "skip"]


@dataclass(frozen=True)
class PackReport:
    """What lies in a packed folder."""

    path: str
    images: dict[str, int]
    """Of each split."""
    shards: dict[str, int]
    bytes: int
    bad: tuple[BadFile, ...]
    """Files that were left out, and why."""


def pack(
    source: DataLike,
    out: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    options: PackOptions | None = None,
    on_bad: OnBad = "stop",
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackReport:
    """Write the images of a folder, or of data in memory, as shards, their index and a manifest.

    A run that was stopped, or killed, goes on where it was: finished shards are kept. The order of a split's images
    in the shards is shuffled, once and for all.

    Args:
        source: folder of images, laid out as `load` takes it; or data in memory, see `DataLike`, which is written to
            PNG files first, in a temporary folder. Images of several sizes are cut to squares of `options.short_px`.
        out: folder to write; new, or one that the same call began.
        root: what a relative `source` starts from.
        options: how images are stored.
        on_bad: what a file that cannot be decoded does: `stop` with a message that names it, or `skip` it and list
            it in the manifest.
        processes: that pack at the same time; None: one a CPU. Where there is more than one, a script must call
            this under `if __name__ == "__main__":`, as all of Python's process pools need.
        on_progress: called with the number of images done and their total.

    Raises:
        UserError: `source` cannot be used, has broken files, or `out` holds other shards.
    """
    options = options or PackOptions()
    if processes is not None and processes < 1:
        raise UserError(f"processes must be 1 or more, not {processes}")
    if isinstance(source, str | os.PathLike):
        return _pack(scan(_folder(source, root)), Path(out), options, on_bad, processes, on_progress)
    dataset = load(source, root=root, default_px=options.short_px, val_fraction=0.0, stream="never")
    with tempfile.TemporaryDirectory() as place:
        folder = write_files(dataset, Path(place))
        return _pack(folder, Path(out), options, on_bad, processes, on_progress)


def _pack(
    folder: Folder,
    target: Path,
    options: PackOptions,
    on_bad: OnBad,
    processes: int | None,
    on_progress: OnProgress | None,
) -> PackReport:
    if folder.problems:
        raise UserError(f"{folder.problems[0].path}: {folder.problems[0].reason}")
    todo = _plan(folder, target, options)
    identity = _identity(folder, options)
    if _is_finished(target, identity):
        return _report(target)
    with lock.hold(target, "a packed folder"):
        _claim(target, identity)
        _make(folder, target, todo, options, identity, on_bad, processes, on_progress)
    return _report(target)


def _make(
    folder: Folder,
    target: Path,
    todo: Sequence[Shard],
    options: PackOptions,
    identity: str,
    on_bad: OnBad,
    processes: int | None,
    on_progress: OnProgress | None,
) -> None:
    """Make the shards that are missing, and the manifest."""
    bad: list[BadFile] = []
    done, total = 0, sum(len(shard.paths) for shard in todo)
    for shard, record in _make_all(todo, processes or usable_cores(), on_bad):
        done += len(shard.paths)
        bad += [BadFile(**file) for file in record.bad]
        if on_progress is not None:
            on_progress(done, total)
    if bad and on_bad == "stop":
        raise UserError(
            f"{describe_bad(folder.path, bad)}. Then run the same command again (finished shards are kept), or leave "
            "such files out with --on-bad skip"
        )
    _write_manifest(target, folder, options, identity, [(shard, read_record(shard)) for shard in todo])
    shutil.rmtree(target / shards.PARTS)


# --- what there is to do -----------------------------------------------------------------------------------------


def _folder(source: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> Path:
    if os.fspath(source) in SOURCES:
        raise UserError(f"{os.fspath(source)} is small enough to be read as it is: pack takes folders of images")
    path = folder_of(source, root)
    if shards.has_shards(path):
        raise UserError(f"{path} holds shards already")
    return path


def _plan(folder: Folder, out: Path, options: PackOptions) -> list[Shard]:
    todo = []
    for split, files in folder.splits.items():
        # RandomState's stream is frozen for good (NEP 19): the same files give the same shards everywhere.
        order = np.random.RandomState(0).permutation(len(files.paths))
        for number, first in enumerate(range(0, len(order), options.shard_images)):
            chosen = order[first : first + options.shard_images]
            todo.append(
                Shard(
                    split=split,
                    file=f"{split}-{number:06d}.tar",
                    out=str(out),
                    root=str(folder.path),
                    paths=tuple(files.paths[i] for i in chosen),
                    labels=tuple(files.labels[i] for i in chosen),
                    first=first,
                    options=options,
                )
            )
    return todo


def _identity(folder: Folder, options: PackOptions) -> str:
    """Hash of all that decides what the shards hold, but for the files' content."""
    digest = hashlib.sha256(repr((FORMAT, decode.VERSION, asdict(options), folder.class_names)).encode())
    for split, files in folder.splits.items():
        digest.update(repr((split, files.paths, files.labels)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _is_finished(out: Path, identity: str) -> bool:
    if not (out / shards.MANIFEST).exists():
        return False
    if shards.read_manifest(out)["identity"] != identity:
        raise UserError(f"{out} holds shards of other images or options: name another folder, or remove this one")
    shutil.rmtree(out / shards.PARTS, ignore_errors=True)  # killed between the manifest and this
    return True


def _claim(out: Path, identity: str) -> None:
    """Make `out` this pack's own; refuse a folder that holds anything else."""
    parts = out / shards.PARTS
    mark = parts / "identity"
    if mark.exists():
        if mark.read_text(encoding="ascii") != identity:
            raise UserError(
                f"{out} was begun with other images or options: repeat those, name another folder, or remove this one"
            )
        for half in out.glob(".*.tmp"):
            half.unlink()
        return
    if any(below != parts and below.name != lock.NAME for below in out.iterdir()):
        raise UserError(f"{out} is not empty: name a new folder")
    parts.mkdir(parents=True, exist_ok=True)
    with atomic_write(mark) as part:
        part.write_text(identity, encoding="ascii")


# --- making shards -----------------------------------------------------------------------------------------------


def _make_all(todo: Sequence[Shard], processes: int, on_bad: OnBad) -> Iterator[tuple[Shard, Record]]:
    """Make the shards that are not made yet; gives each with its record as it is done, in any order.

    Where bad files are to stop it, no shard is begun after one that had any.
    """
    made = {shard.file: _is_made(shard, on_bad) for shard in todo}
    yield from ((shard, read_record(shard)) for shard in todo if made[shard.file])
    missing = [shard for shard in todo if not made[shard.file]]
    processes = min(processes, len(missing))
    if processes <= 1:
        for shard in missing:
            record = write_shard(shard)
            yield shard, record
            if record.bad and on_bad == "stop":
                return
        return
    # Spawned: a fork would copy the threads' locks as they are at that moment.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker) as pool:
        running = {pool.submit(write_shard, shard): shard for shard in missing}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                record = _result(future)
                yield running.pop(future), record
                if record.bad and on_bad == "stop":
                    running = {future: shard for future, shard in running.items() if not future.cancel()}


def _result(future: Future[Record]) -> Record:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(
            "a packing process died, perhaps for want of memory. Run the same again with fewer --processes (finished "
            'shards are kept); in a script of your own, call pack under `if __name__ == "__main__":`'
        ) from None


def _start_worker() -> None:
    """One thread of arithmetic a process; and none of them outlives the process that asked for it."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _is_made(shard: Shard, on_bad: OnBad) -> bool:
    """Whether the shard lies there whole, and without gaps if bad files are to stop it."""
    if not shard.record_path.exists() or not shard.path.exists():
        return False
    record = read_record(shard)
    return shard.path.stat().st_size == record.bytes and not (record.bad and on_bad == "stop")


# --- the end -----------------------------------------------------------------------------------------------------


def _write_manifest(
    out: Path, folder: Folder, options: PackOptions, identity: str, made: Sequence[tuple[Shard, Record]]
) -> None:
    """Write the index of each split, timm's `_info.json` and, last, the manifest."""
    splits: dict[str, Any] = {}
    for split in folder.splits:
        records = [(shard, record) for shard, record in made if shard.split == split]
        index_file = f"index-{split}.npy"
        with atomic_write(out / index_file) as part, part.open("wb") as file:
            np.save(file, _index([record for _, record in records]))
        splits[split] = _describe_split(split, index_file, records)
    own = {record.own_px for _, record in made if record.sizes}
    timm = ("name", "num_samples", "filenames", "shard_lengths")
    info = {name: {key: values[key] for key in timm} for name, values in splits.items()}
    write_json(out / "_info.json", {"splits": info})
    manifest = {
        "format": FORMAT,
        "identity": identity,
        "options": asdict(options),
        "split": folder.split_rule,
        "class_names": list(folder.class_names),
        "own_px": own.pop() if len(own) == 1 else None,
        "splits": splits,
    }
    write_json(out / shards.MANIFEST, manifest)


def _index(records: Sequence[Record]) -> Index:
    index = np.empty(sum(len(record.sizes) for record in records), ENTRY)
    start = 0
    for number, record in enumerate(records):
        part = index[start : start + len(record.sizes)]
        part["shard"], part["size"], part["offset"], part["label"] = (
            number,
            record.sizes,
            record.offsets,
            record.labels,
        )
        start += len(part)
    return index


def _describe_split(name: str, index_file: str, records: Sequence[tuple[Shard, Record]]) -> dict[str, Any]:
    sums = sum((Moments.from_json(record.rgb) for _, record in records), Moments.zero(3))
    rgb = sums.to_json()
    if sums.pixels:
        rgb |= {"mean": sums.mean, "std": sums.std, "covariance": sums.covariance}
    return {
        "name": name,
        "num_samples": sum(len(record.sizes) for _, record in records),
        "filenames": [shard.file for shard, _ in records],
        "shard_lengths": [len(record.sizes) for _, record in records],
        "bytes": [record.bytes for _, record in records],
        "sha256": [record.sha256 for _, record in records],
        "index": index_file,
        "rgb": rgb,
        "bad": [file for _, record in records for file in record.bad],
    }


def _report(out: Path) -> PackReport:
    splits = shards.read_manifest(out)["splits"]
    return PackReport(
        path=str(out),
        images={name: values["num_samples"] for name, values in splits.items()},
        shards={name: len(values["filenames"]) for name, values in splits.items()},
        bytes=sum(sum(values["bytes"]) for values in splits.values()),
        bad=tuple(BadFile(**file) for values in splits.values() for file in values["bad"]),
    )
