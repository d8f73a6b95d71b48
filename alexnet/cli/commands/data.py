"""`alexnet data`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, SOME_FAILED, OptionalPath
from alexnet.errors import UserError


def data_command(
    action: Positional[Literal["info", "check", "clean", "download", "pack"]],
    source: Positional[str],
    out: Positional[Path | None] = None,
    *,
    root: OptionalPath = None,
    short_px: int | None = None,
    quality: int | None = None,
    shard_images: int | None = None,
    on_bad: Literal["stop", "skip"] | None = None,
    processes: int | None = None,
    apply: OptionalPath = None,
    undo: bool = False,
    json: bool = False,
) -> int:
    """Look at a data set, or make it ready: alexnet data (info | check | clean | download | pack) SRC.

    Args:
        action: info: classes, counts and sizes. check: decode every file and name each bad one; exit 1 if any.
            clean: find broken files, duplicates and suspected wrong labels; writes a page with pictures and a list of
            moves, clean.html and moves.json, into OUT (default: clean-<the folder's name>) and moves nothing.
            download: fetch the source's files into --root. pack: write a folder's images, made small once, as
            shards into OUT; run again after a stop to go on.
        source: Name of a source (cifar10, cifar100, fashion_mnist, mnist, digits), a folder of class folders, or a
            folder of shards.
        out: pack, clean: Folder to write.
        root: Folder with the source's files, where they are not in the default place.
        short_px: pack: Short side that larger images are reduced to (default 256).
        quality: pack: Quality of the JPEGs written, 1..95 (default 90).
        shard_images: pack: Images a shard (default 1000).
        on_bad: pack: Broken files end it (stop, the default), or are left out and listed (skip).
        processes: pack: Processes at a time (default: one a CPU).
        apply: clean: Move the files that this moves.json lists into SRC/_set_aside/. None is deleted.
        undo: clean: Move everything in SRC/_set_aside/ back.
        json: Print one JSON object.
    """
    if action == "clean":
        _refuse(
            {
                "--short-px": short_px,
                "--quality": quality,
                "--shard-images": shard_images,
                "--on-bad": on_bad,
                "--processes": processes,
                "--root": root,
            },
            "clean",
        )
        return _clean(Path(source), out, apply, undo, json)
    _refuse({"--apply": apply, "--undo": undo or None}, action, "clean")
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
    _refuse(for_pack, action, "pack")
    return {"info": _info, "check": _check, "download": _download}[action](source, root, json)


def _refuse(values: Mapping[str, object], action: str, home: str = "pack") -> None:
    """Raise `UserError` for values that belong to another action."""
    unused = [name for name, value in values.items() if value is not None]
    if unused:
        raise UserError(f"data {action} does not use {', '.join(unused)}: drop it (it belongs to data {home})")


def _clean(folder: Path, out: Path | None, moves: Path | None, undo: bool, as_json: bool) -> int:
    from alexnet import cleaning
    from alexnet.cli.progress import counting
    from alexnet.files import write_json

    if moves is not None or undo:
        _refuse(
            {"OUT": out, "--apply": moves if undo else None}, "clean --undo" if undo else "clean --apply", "clean"
        )
        moved = cleaning.undo(folder) if undo else cleaning.apply(moves or Path(), folder)
        where = "put back" if undo else f"moved to {folder / cleaning.SET_ASIDE}; undo with --undo"
        show.json_object({"moved": moved}) if as_json else show.line(f"{moved:,} files {where}")
        return OK
    target = out or Path(f"clean-{folder.resolve().name}")
    with counting("looking at the photographs") as on_progress:
        found = cleaning.find(folder, on_progress=on_progress)
    target.mkdir(parents=True, exist_ok=True)
    page, list_file = target / "clean.html", target / "moves.json"
    cleaning.write_page(page, found)
    proposed = cleaning.proposed(found)
    write_json(list_file, proposed)
    values = {
        "images": found.images,
        "broken": len(found.bad),
        "duplicate_groups": len(found.groups),
        "likely_wrong_labels": len(found.likely_wrong()),
        "page": str(page),
        "moves": str(list_file),
    }
    show.mapping(values, as_json)
    if proposed["moves"] and not as_json:
        show.line(f"look at the page, delete from {list_file} what should stay, then: ")
        show.line(f"  alexnet data clean {folder} --apply {list_file}")
    return OK


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
