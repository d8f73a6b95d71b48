"""Photographs that visitors put into class folders."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alexnet.files import atomic_write
from alexnet.serving import openapi
from alexnet.serving.predict import json_response
from alexnet.serving.problems import Problem, unavailable
from alexnet.text import printable

if TYPE_CHECKING:
    from alexnet.serving.service import Service

_SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",  # what some cameras call a JPEG
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tiff",
    "AVIF": ".avif",
    "HEIF": ".heic",
    "PPM": ".ppm",
}
_PREFIX = "added-"


@dataclass(frozen=True)
class Added:
    """What became of a photograph."""

    file: str
    """Its path within the folder."""
    is_new: bool
    """Whether it was not in that class before."""
    moved_from: str | None
    """The class that it was added to before."""


class ClassFolders:
    """The class folders in a folder of photographs, or in its `train/`.

    A class is one of the folders that are there; nothing else that a visitor sends becomes part of a path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder / "train" if (folder / "train").is_dir() else folder

    def names(self) -> list[str]:
        """The classes, sorted."""
        with os.scandir(self._root) as entries:
            found = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
        return sorted(found)

    def add(self, data: bytes, class_name: str) -> Added:
        """Write an image, which was decoded before, into a class' folder; it leaves the class it was added to before.

        Raises:
            Problem: 404 there is no such class; 415 the format is not kept.
            OSError: it cannot be written.
        """
        names = self.names()
        if class_name not in names:
            known = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
            raise Problem(404, "unknown-class", f"there is no class {printable(class_name[:100])!r}: {known}")
        stem = _PREFIX + hashlib.sha256(data).hexdigest()[:32]
        target = self._root / class_name / (stem + _suffix(data))
        is_new = not target.exists()
        if is_new:
            with atomic_write(target) as part:
                part.write_bytes(data)
        moved_from = None
        for other in names:
            if other != class_name and (before := self._root / other / target.name).is_file():
                before.unlink(missing_ok=True)
                moved_from = other
        return Added(target.relative_to(self.folder).as_posix(), is_new, moved_from)


def _suffix(data: bytes) -> str:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            kind = image.format or ""
    except Exception as error:
        raise Problem(415, "not-an-image", "this is not an image that can be kept") from error
    if kind not in _SUFFIXES:
        raise Problem(415, "not-an-image", f"{kind} images are not kept: send JPEG, PNG or WebP")
    return _SUFFIXES[kind]


def routes(service: Service) -> APIRouter:
    """The routes; without a folder they are refused."""
    router = APIRouter()
    data = service.settings.data
    folders = None if data is None else ClassFolders(data)

    def allowed() -> ClassFolders:
        if folders is None:
            raise Problem(403, "not-allowed", "this service was started without --data FOLDER --allow-relabel")
        return folders

    @router.get("/v1/labels", **openapi.LABELS)
    async def labels() -> Response:
        """The classes that photographs can be added to."""
        names = [] if folders is None else await asyncio.to_thread(folders.names)
        return json_response({"allowed": folders is not None, "classes": names})

    @router.post("/v1/labels", **openapi.LABEL)
    async def label(request: Request) -> Response:
        """Add the image in the body to the class that the query names."""
        chosen = allowed()
        if list(request.query_params) != ["class"]:
            raise Problem(422, "bad-value", "name the class, and nothing else: ?class=NAME")
        engine = service.models.get().engine
        async with service.body(request) as body:
            await asyncio.to_thread(engine.read, body, "the image")
            try:
                added = await asyncio.to_thread(chosen.add, body, request.query_params["class"])
            except OSError as error:
                raise unavailable("not-saved", f"it cannot be saved: {error.strerror or error}") from error
        return json_response(vars(added), 201 if added.is_new else 200)

    return router
