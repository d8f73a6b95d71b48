"""The page, and the files it is made of: the service's own, and those that it shares with other pages."""

from __future__ import annotations

import json
import mimetypes
from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from alexnet import web
from alexnet.serving.problems import Problem

if TYPE_CHECKING:
    from alexnet.serving.service import Service

_SHARED = ("style.css", "answer.js", "camera.js", "input.js", "theme.js", "words.js")
_SECTIONS = ("page", "serve", "input", "answer", "problem")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json"}


def routes(service: Service) -> APIRouter:
    """The page's routes; they need no token, as they say nothing of the models."""
    router = APIRouter(include_in_schema=False)
    parts = _parts()

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index() -> Response:
        return _response("index.html", parts["index.html"])

    @router.api_route("/favicon.ico", methods=["GET", "HEAD"])
    async def icon() -> Response:
        return Response(status_code=204)

    @router.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def part(name: str) -> Response:
        if name not in parts:
            raise Problem(404, "http", "the page has no such part")
        return _response(name, parts[name])

    return router


def _response(name: str, content: bytes) -> Response:
    suffix = name[name.rindex(".") :]
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, headers={"Cache-Control": "no-cache"}, media_type=kind)


def _parts() -> dict[str, bytes]:
    """Every file that the page asks for, by name: no path of a request reaches the disk."""
    own = files("alexnet.serving") / "page_files"
    parts = {each.name: each.read_bytes() for each in own.iterdir() if each.is_file()}
    parts |= {name: web.read(name).encode() for name in _SHARED}
    parts["words.json"] = json.dumps(web.words(_SECTIONS), ensure_ascii=False).encode()
    return parts
