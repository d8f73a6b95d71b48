"""`alexnet predict`."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from alexnet.cli import show
from alexnet.cli.commands.common import OK, SOME_FAILED
from alexnet.cli.words import WORDS
from alexnet.errors import UserError
from alexnet.language import Words


def predict(
    words: Annotated[Positional[tuple[str, ...]], arg(metavar="[MODEL] IMAGE ...")],
    *,
    top: int = 5,
    accept: float = 0.95,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Name what is in image files, of any size and mode.

    A file that cannot be read is named, the others go on, and the exit status is 1.

    Args:
        words: MODEL, a run folder, a .safetensors file or a name of `alexnet models`; default: small, a network for
            144 everyday classes. Then images, folders (searched through) or patterns such as 'photos/*.jpg'.
        top: Classes to name for each image.
        accept: Share of the given answers that are to be right, by the images held out in training; others are
            "unsure".
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object a line, one line an image, on standard output.
    """
    from alexnet import runtime
    from alexnet.evaluation import Failure, load
    from alexnet.evaluation.calibrate import NONE, UNSURE

    model, files = _split(words)
    images = _find_images(files)
    runtime.start(device, "fp32")
    classifier = load(model, device=device)
    failed, said = 0, Words(WORDS)
    for answer in classifier.predict_files(images, top, accept=accept):
        if isinstance(answer, Failure):
            failed += 1
            show.complaint(answer.reason)
        elif json:
            show.json_object(answer.to_json(), indent=None)
        else:
            classes = ", ".join(f"{name} {p:.1%}" for name, p in answer.classes)
            named = said.plain(answer.answer) if answer.answer in (UNSURE, NONE) else answer.answer
            show.line(f"{answer.file}: {named} ({classes})")
    return SOME_FAILED if failed else OK


def _split(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The model, and what to classify."""
    from alexnet.data import IMAGE_SUFFIXES
    from alexnet.weights import shipped

    if not words:
        raise UserError("name at least one image file, folder or pattern")
    first = Path(words[0])
    is_model = (
        (first.is_dir() and any((first / name).exists() for name in ("recipe.json", "model.safetensors")))
        or first.suffix == ".safetensors"
        or not (first.exists() or first.suffix.lower() in IMAGE_SUFFIXES or glob.has_magic(words[0]))
    )
    if is_model:
        return words[0], words[1:]
    default = shipped.get(shipped.DEFAULT)
    show.complaint(f"no model named: using {default.name} ({default.data})")
    return default.name, words


def _find_images(patterns: Sequence[str]) -> list[Path]:
    from alexnet.data import image_files

    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = image_files(path)
            if not inside:
                raise UserError(f"no images in the folder {path}")
            found += inside
        elif path.exists() or not glob.has_magic(pattern):
            found.append(path)
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
            if not matches:
                raise UserError(f"no file matches {pattern}")
            found += map(Path, matches)
    if not found:
        raise UserError("name at least one image file, folder or pattern")
    return found
