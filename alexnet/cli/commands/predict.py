"""`alexnet predict`."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, SOME_FAILED
from alexnet.errors import UserError


def predict(
    model: Positional[Path],
    files: Positional[tuple[str, ...]],
    *,
    top: int = 5,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Name what is in image files, of any size and mode.

    A file that cannot be read is named, the others go on, and the exit status is 1.

    Args:
        model: Run folder or .safetensors file.
        files: Images, folders (searched through) or patterns such as 'photos/*.jpg'.
        top: Classes to name for each image.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object a line, one line an image, on standard output.
    """
    from alexnet import runtime
    from alexnet.evaluation import Failure, load

    images = _find_images(files)
    runtime.start(device, "fp32")
    classifier = load(model, device=device)
    failed = 0
    for answer in classifier.predict_files(images, top):
        if isinstance(answer, Failure):
            failed += 1
            show.complaint(answer.reason)
        elif json:
            show.json_object(answer.to_json(), indent=None)
        else:
            classes = "  ".join(f"{name} {p:.1%}" for name, p in answer.classes)
            show.line(f"{answer.file}: {classes}")
    return SOME_FAILED if failed else OK


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
