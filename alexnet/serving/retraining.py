"""Training anew on the folder that visitors add photographs to, by `alexnet start` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import shutil
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alexnet.errors import UserError
from alexnet.run_folder import RunFolder
from alexnet.serving import openapi
from alexnet.serving.predict import json_response
from alexnet.serving.problems import Problem, unavailable
from alexnet.start import default_out

if TYPE_CHECKING:
    from alexnet.serving.service import Service

_MOST_MINUTES = 600
_DEFAULT_MINUTES = 5.0
_LINES = 20
_STOP_S = 20

_log = logging.getLogger("alexnet.serving")


class Retraining:
    """At most one training at a time. Its methods are called on the event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._state = "none"
        self._out: Path | None = None
        self._top1: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether a training is under way."""
        return self._task is not None and not self._task.done()

    def start(self, minutes: float) -> None:
        """Begin; the default model is replaced when it has succeeded.

        Raises:
            Problem: 403 there is no folder; 409 one is under way; 503 the model is not there yet.
        """
        data = self._service.settings.data
        if data is None:
            raise Problem(403, "not-allowed", "this service was started without --data FOLDER --allow-relabel")
        if self.is_running:
            raise Problem(409, "under-way", "a training is under way: wait for its end, or stop it")
        source = self._service.models.source()
        self._out = _out_of(data, Path(source.path))
        self._lines.clear()
        self._state, self._top1 = "running", None
        self._task = asyncio.create_task(self._run(data, self._out, minutes, source.name))

    def facts(self) -> dict[str, Any]:
        """State (none, running, done, failed, stopped), epochs, and what the training printed last."""
        facts: dict[str, Any] = {"state": self._state, "epoch": 0, "epochs": None, "lines": list(self._lines)}
        if self._state == "running" and self._out is not None:
            part = RunFolder(self._out.resolve().with_name(f"{self._out.resolve().name}.part"))
            with contextlib.suppress(UserError, OSError, ValueError):
                facts["epochs"] = part.read_recipe()[0].epochs
                facts["epoch"] = len(part.read_metrics())
        if self._top1 is not None:
            facts["top1"] = self._top1
        return facts

    async def stop(self) -> None:
        """End a training that is under way; the next one goes on where it was."""
        if self._process is not None and self.is_running:
            self._state = "stopped"
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            if self._task is not None:
                await asyncio.wait([self._task], timeout=_STOP_S)
            if self.is_running:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()

    async def _run(self, data: Path, out: Path, minutes: float, model: str) -> None:
        try:
            await self._train(data, out, minutes)
            if self._state == "running":
                await self._service.models.replace(model, str(out))
                self._top1 = _top1(out)
                self._state = "done"
                _log.info(
                    "%s is now the model trained on %s; next time: alexnet serve %s=%s", model, data, model, out
                )
        except Exception as error:
            self._state = "failed"
            self._lines.append(str(error))
            _log.exception("training on %s", data)

    async def _train(self, data: Path, out: Path, minutes: float) -> None:
        command = [sys.executable, "-m", "alexnet", "start", str(data), "--out", str(out), "--no-open"]
        command += ["--minutes", f"{minutes:g}", "--device", self._service.settings.device]
        if shutil.which("nice") is not None:  # answering comes first
            command = ["nice", "-n", "10", *command]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            stdin=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(4096):
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            self._lines.extend(line.decode("utf-8", "replace")[:300] for line in lines if line.strip())
        status = await self._process.wait()
        if status != 0 and self._state == "running":
            self._state = "failed"
            _log.error("training on %s failed: %s", data, "; ".join(self._lines))


def _out_of(data: Path, model: Path) -> Path:
    """The run folder to go on from: the model's own where it was trained on `data`."""
    with contextlib.suppress(UserError, OSError):
        recipe, _ = RunFolder(model).read_recipe()
        if Path(recipe.data).resolve() == data.resolve():
            return model
    return default_out(data)


def _top1(out: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        result = json.loads(RunFolder(out).result.read_text(encoding="utf-8"))
        return float(result[f"{result['split']}_top1"])
    return None


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter()
    retraining = service.retraining

    @router.get("/v1/retraining", **openapi.RETRAINING)
    async def facts() -> Response:
        """How far the training is."""
        return json_response(retraining.facts())

    @router.post("/v1/retraining", **openapi.RETRAIN)
    async def begin(request: Request) -> Response:
        """Train on the folder of photographs for so many minutes; then the default model is replaced."""
        if service.is_stopping:
            raise unavailable("stopping", "the service is stopping")
        async with service.body(request) as body:
            minutes = _minutes(body)
        retraining.start(minutes)
        return json_response(retraining.facts(), 202)

    @router.delete("/v1/retraining", **openapi.RETRAINING)
    async def stop() -> Response:
        """End the training; the next one goes on where it was."""
        await retraining.stop()
        return json_response(retraining.facts())

    return router


def _minutes(body: bytes) -> float:
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Problem(400, "bad-json", f"the body is not JSON: {error}") from None
    if not isinstance(values, dict) or set(values) - {"minutes"}:
        raise Problem(422, "bad-value", 'the body must be {"minutes": NUMBER}')
    minutes = values.get("minutes", _DEFAULT_MINUTES)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not math.isfinite(minutes):
        raise Problem(422, "bad-value", "minutes must be a number")
    if not 0 < minutes <= _MOST_MINUTES:
        raise Problem(422, "bad-value", f"minutes must be above 0 and at most {_MOST_MINUTES}")
    return float(minutes)
