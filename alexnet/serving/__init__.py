"""Networks behind HTTP: a page, an API, and what a service needs to hold.

FastAPI, uvicorn and python-multipart come with the extra `serve`; they are imported by those who use them.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from alexnet.errors import UserError

if TYPE_CHECKING:
    from alexnet.serving.app import Application
    from alexnet.serving.models import ModelSource, read_sources
    from alexnet.serving.server import serve
    from alexnet.serving.settings import Settings

_HOMES = {
    "Application": "app",
    "ModelSource": "models",
    "Settings": "settings",
    "read_sources": "models",
    "serve": "server",
}

__all__ = ["Application", "ModelSource", "Settings", "check_installed", "read_sources", "serve"]


def check_installed() -> None:
    """Raise `UserError` where the packages of the extra are missing."""
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if missing:
        raise UserError(f"serving takes {', '.join(missing)}: pip install 'alexnet[serve]'")


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'alexnet.serving' has no attribute {name!r}")
    if name not in ("Settings",):
        check_installed()
    return getattr(import_module(f"alexnet.serving.{_HOMES[name]}"), name)
