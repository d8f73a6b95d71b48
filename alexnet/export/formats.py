"""One entry for all formats: write, compare, keep only what agrees, and record it."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from alexnet import __version__, system
from alexnet.errors import UserError
from alexnet.evaluation import Classifier, load
from alexnet.export.images import check_calibration, find_images
from alexnet.export.job import Job
from alexnet.files import atomic_write, write_json

FORMATS: dict[str, str] = {
    "onnx": ".onnx",
    "pt2": ".pt2",
    "hf": "",
    "mxnet": ".params",
    "torchvision": ".safetensors or .pth",
    "safetensors": ".safetensors",
}
"""What the names of their files end in; empty: a folder."""

RECORD = "export.json"
"""Beside every export: for each file, what was compared, on which images, with what result."""


@dataclass(frozen=True)
class Exported:
    """A file, or folder, that was written and found equal."""

    path: Path
    bytes: int
    record: dict[str, Any]
    """What stands in export.json."""


def export(
    model: str | os.PathLike[str] | Classifier,
    out: str | os.PathLike[str],
    *,
    to: str,
    data: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    module: nn.Module | None = None,
    plain: bool = False,
    decompose: bool = False,
    int8: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a trained network in another form, after comparing that form's answers with the package's own.

    Args:
        model: run folder, `.safetensors` file, name of weights that come with the package, or a `Classifier` on the
            CPU.
        out: the file to write; for `hf` a folder.
        to: `onnx`, `pt2`, `hf`, `mxnet`, `torchvision` or `safetensors`.
        data: a source's name or a folder, whose test images it is compared on, all of them; None: those that the
            network's run names, where they are at hand, else photographs that come with scikit-learn.
        root: where the source's files are.
        module: for weights of the user's own module: that module (`onnx`, `pt2`).
        plain: `onnx`, `pt2`: from the normalised tensor to logits, instead of from pictures to probabilities.
        decompose: `onnx`: response normalisation as convolutions and roots, for runtimes without the operator LRN.
        int8: `onnx`: write an int8 file too, `NAME.int8.onnx`, with its accuracy beside fp32's.
        overwrite: replace what is at `out`.

    Raises:
        UserError: the weights, the data or the name of the file cannot be used, an optional package is missing, or
            the answers differ; nothing is written then.
    """
    out = Path(out)
    write = _writer(to, out, overwrite)
    small = out.with_name(f"{out.stem}.int8{out.suffix}") if int8 else None
    if small is not None and small.exists() and not overwrite:
        raise UserError(f"{small} exists: name another place, or pass --overwrite")
    classifier = model if isinstance(model, Classifier) else load(model, model=module, device="cpu")
    images = find_images(classifier.card, None if data is None else os.fspath(data), root)
    name = classifier.card.model if isinstance(model, Classifier) else os.fspath(model)
    job = Job(classifier, images, str(out), name, plain=plain, decompose=decompose)
    if to != "onnx":
        job.refuse(decompose=decompose, int8=int8, plain=plain and to != "pt2")
    if int8:
        check_calibration(images)
    out.parent.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "format": to,
        "model": name,
        "alexnet": __version__,
        "commit": system.commit(),
        "versions": _versions(to),
    }
    record |= _write_folder(job, out, write) if FORMATS[to] == "" else _write_file(job, out, write, small)
    size = _size(out)
    record |= {
        "bytes": size,
        "compared": [comparison.to_json() for comparison in job.comparisons],
        "on_test_images": images.are_test_images,
        "on": images.what,
    }
    _record(out, record)
    return Exported(out, size, record)


def _writer(to: str, out: Path, overwrite: bool) -> Callable[[Job, Path], dict[str, Any]]:
    """What writes the format; raises `UserError` where `out` cannot be its file."""
    if to not in FORMATS:
        raise UserError(f"there is no format {to!r}: choose one of {', '.join(FORMATS)}")
    suffixes = FORMATS[to]
    if suffixes and (not out.suffix or out.suffix not in suffixes.split(" or ")):
        raise UserError(f"{out} should end in {suffixes}")
    if out.exists() and out.is_dir() != (suffixes == ""):
        raise UserError(f"{out} is a {'folder' if out.is_dir() else 'file'}: name another place")
    if out.exists() and not overwrite and (suffixes or any(out.iterdir())):
        raise UserError(f"{out} exists: name another place, or pass --overwrite")
    write: Callable[[Job, Path], dict[str, Any]] = importlib.import_module(f"alexnet.export.{to}").write
    return write


def _write_file(
    job: Job, out: Path, write: Callable[[Job, Path], dict[str, Any]], small: Path | None
) -> dict[str, Any]:
    """Write `out`, and where it is asked for its int8 form `small`; neither is there where one fails."""
    with atomic_write(out) as part:
        named = part.with_name(part.name + out.suffix)  # some libraries look at the suffix
        try:
            record = write(job, named)
            if small is not None:
                from alexnet.export import onnx

                with atomic_write(small) as small_part:
                    record["int8"] = {"file": small.name, **onnx.write_int8(job, named, small_part)}
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)
    return record


def _write_folder(job: Job, out: Path, write: Callable[[Job, Path], dict[str, Any]]) -> dict[str, Any]:
    """Write beside `out`, and put the files there when they agree."""
    part = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        record = write(job, part)
        out.mkdir(exist_ok=True)
        for file in part.iterdir():
            file.replace(out / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return record


def _record(out: Path, record: dict[str, Any]) -> None:
    """Put `record` into export.json, beside what stands there of other files."""
    path = (out if out.is_dir() else out.parent) / RECORD
    entries: dict[str, Any] = {}
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            entries = found if isinstance(found, dict) else {}
        except ValueError:  # not ours, or damaged: written anew
            entries = {}
    write_json(path, {**entries, out.name: record})


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _versions(to: str) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    used = {
        "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
        "hf": ("torch", "safetensors", "huggingface_hub"),
        "torchvision": ("torch", "torchvision"),
    }
    found = {}
    for name in used.get(to, ("torch",)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
