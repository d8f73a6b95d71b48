"""`alexnet data`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, SOME_FAILED, OptionalPath
from alexnet.errors import UserError


def data_command(
    action: Positional[Literal["info", "check", "download", "pack"]],
    source: Positional[str],
    out: Positional[Path | None] = None,
    *,
    root: OptionalPath = None,
    short_px: int | None = None,
    quality: int | None = None,
    shard_images: int | None = None,
    on_bad: Literal["stop", "skip"] | None = None,
    processes: int | None = None,
    json: bool = False,
) -> int:
    """Look at a data set, or make it ready: alexnet data (info | check | download | pack) SRC.

    Args:
        action: info: classes, counts and sizes. check: decode every file and name each bad one; exit 1 if any.
            download: fetch the source's files into --root. pack: write a folder's images, made small once, as
            shards into OUT; run again after a stop to go on.
        source: Name of a source (cifar10, cifar100, fashion_mnist, mnist, digits), a folder of class folders, or a
            folder of shards.
        out: pack: Folder to write.
        root: Folder with the source's files, where they are not in the default place.
        short_px: pack: Short side that larger images are reduced to (default 256).
        quality: pack: Quality of the JPEGs written, 1..95 (default 90).
        shard_images: pack: Images a shard (default 1000).
        on_bad: pack: Broken files end it (stop, the default), or are left out and listed (skip).
        processes: pack: Processes at a time (default: one a CPU).
        json: Print one JSON object.
    """
    for_pack = {
        "OUT": out,
        "--short-px": short_px,
        "--quality": quality,
        "--shard-images": shard_images,
        "--on-bad": on_bad,
        "--processes": processes,
    }
    if action == "pack":
        options = {"short_px": short_px, "quality": quality, "shard_images": shard_images}
        chosen = {name: value for name, value in options.items() if value is not None}
        return _pack(source, out, root, chosen, on_bad or "stop", processes, json)
    unused = [name for name, value in for_pack.items() if value is not None]
    if unused:
        raise UserError(f"data {action} does not use {', '.join(unused)}: drop it (it belongs to data pack)")
    return {"info": _info, "check": _check, "download": _download}[action](source, root, json)


def _pack(
    source: str,
    out: Path | None,
    root: Path | None,
    options: dict[str, int],
    on_bad: Literal["stop", "skip"],
    processes: int | None,
    as_json: bool,
) -> int:
    from alexnet import data
    from alexnet.cli.progress import counting

    if out is None:
        raise UserError("name the folder to write: alexnet data pack SRC OUT")
    with counting("packing") as on_progress:
        packed = data.pack(
            source,
            out,
            root=root,
            options=data.PackOptions(**options),
            on_bad=on_bad,
            processes=processes,
            on_progress=on_progress,
        )
    for bad in packed.bad:
        show.complaint(f"left out {bad.path}: {bad.reason}")
    show.mapping(
        {
            "path": packed.path,
            "images": packed.images,
            "shards": packed.shards,
            "bytes": packed.bytes,
            "left_out": len(packed.bad),
        },
        as_json,
    )
    return SOME_FAILED if packed.bad else OK


def _info(source: str, root: Path | None, as_json: bool) -> int:
    from alexnet import data

    show.mapping(data.describe(source, root=root), as_json)
    return OK


def _check(source: str, root: Path | None, as_json: bool) -> int:
    from alexnet import data

    found = data.check(source, root=root)
    checked = sum(found.images.values())
    if as_json:
        show.json_object({"checked": checked, "bad": [{"path": bad.path, "reason": bad.reason} for bad in found.bad]})
    else:
        for bad in found.bad:
            show.line(f"{bad.path}: {bad.reason}")
        show.line(f"{checked} files checked, {len(found.bad)} bad")
    return SOME_FAILED if found.bad else OK


def _download(source: str, root: Path | None, as_json: bool) -> int:
    from alexnet import data

    show.mapping({"source": source, "path": str(data.download(source, root=root))}, as_json)
    return OK
