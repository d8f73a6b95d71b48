"""The networks of a service: loaded, replaced without dropping a request, and closed."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alexnet import weights
from alexnet.errors import UserError
from alexnet.evaluation import load
from alexnet.serving.batcher import Batcher
from alexnet.serving.engine import Engine
from alexnet.serving.metrics import Metrics
from alexnet.serving.problems import Problem, unavailable
from alexnet.serving.settings import Settings
from alexnet.system import usable_cores

_log = logging.getLogger("alexnet.serving")


@dataclass(frozen=True)
class ModelSource:
    """What a network is called here, and where its weights are."""

    name: str
    path: str
    """A run folder, a `.safetensors` file, or a name of `alexnet models`."""


def read_sources(words: Sequence[str]) -> list[ModelSource]:
    """The models that the command names, as PATH or NAME=PATH.

    Raises:
        UserError: none is named, two have one name, or one is not there.
    """
    if not words:
        raise UserError("name a model: a run folder, a .safetensors file or a name of `alexnet models`")
    found: dict[str, ModelSource] = {}
    for word in words:
        name, given, path = word.partition("=")
        if not given or Path(word).exists():
            name, path = _default_name(word), word
        if not re.fullmatch(r"[\w.-]{1,100}", name):
            raise UserError(f"{name!r} cannot be the name of a model: use letters, digits, _, - and ., as NAME=PATH")
        if name in found:
            raise UserError(f"two models are called {name}: name one of them as NAME={path}")
        if not Path(path).exists() and path not in weights.shipped.names():
            known = ", ".join(weights.shipped.names())
            raise UserError(f"there is no model {path}: name a run folder, a .safetensors file or one of {known}")
        found[name] = ModelSource(name, path)
    return list(found.values())


def _default_name(path: str) -> str:
    if not Path(path).exists():
        return path
    resolved = Path(path).resolve()
    stem = resolved.name if resolved.is_dir() else resolved.stem
    if resolved.name == "model.safetensors":
        stem = resolved.parent.name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-") or "model"


class Models:
    """The networks that answer. Its methods are called on the event loop."""

    def __init__(self, sources: Sequence[ModelSource], settings: Settings, metrics: Metrics) -> None:
        self._sources = {source.name: source for source in sources}
        self._settings = settings
        self._metrics = metrics
        self._batchers: dict[str, Batcher] = {}
        self._reloading = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> list[str]:
        """All names; the first is the default."""
        return list(self._sources)

    def is_ready(self, name: str | None = None) -> bool:
        """Whether the network, or where none is named every one, answers."""
        return name in self._batchers if name is not None else len(self._batchers) == len(self._sources)

    def get(self, name: str | None = None) -> Batcher:
        """The network called `name`, or the first.

        Raises:
            Problem: 404 there is none; 503 it is being loaded.
        """
        chosen = name if name is not None else next(iter(self._sources))
        if chosen not in self._sources:
            raise Problem(404, "unknown-model", f"there is no model {chosen[:100]!r}: {', '.join(self._sources)}")
        if chosen not in self._batchers:
            raise unavailable("loading", f"the model {chosen} is being loaded: try again later")
        return self._batchers[chosen]

    def source(self, name: str | None = None) -> ModelSource:
        """Where a network that answers comes from; errors are those of `get`."""
        return self._sources[self.get(name).engine.name]

    def facts(self, accept: float) -> list[dict[str, Any]]:
        """What is known of each network that answers, see `Engine.facts`."""
        return [batcher.engine.facts(accept) for batcher in self._batchers.values()]

    def waiting(self) -> dict[str, int]:
        """Images that wait, by network."""
        return {name: batcher.waiting for name, batcher in self._batchers.items()}

    async def load(self) -> None:
        """Load every network anew, and then let the new ones answer; the old ones finish what they have.

        Raises:
            UserError: one cannot be loaded; then all stay as they are.
        """
        async with self._reloading:
            await self._load()

    async def replace(self, name: str, path: str) -> None:
        """Let the weights at `path` answer for `name`; errors are those of `load`."""
        async with self._reloading:
            before = self._sources[name]
            self._sources[name] = replace(before, path=path)
            try:
                await self._load()
            except BaseException:
                self._sources[name] = before
                raise

    async def _load(self) -> None:
        settings = self._settings
        engines = [await asyncio.to_thread(read_engine, source, settings) for source in self._sources.values()]
        for engine in engines:
            old = self._batchers.get(engine.name)
            self._batchers[engine.name] = Batcher(
                engine,
                max_batch=settings.max_batch or engine.fastest_batch,
                max_waiting=settings.max_waiting,
                decoders=max(1, usable_cores()),
                on_batch=functools.partial(self._metrics.on_batch, engine.name),
            )
            if old is not None:
                task = asyncio.create_task(asyncio.to_thread(old.close))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        self._batchers = {name: self._batchers[name] for name in self._sources}

    async def close(self) -> None:
        """Let every network finish what it has."""
        closing = [asyncio.to_thread(batcher.close) for batcher in self._batchers.values()]
        await asyncio.gather(*closing, *self._closing)


def read_engine(source: ModelSource, settings: Settings) -> Engine:
    """Load a network and run it once, so that the first request waits for nothing.

    Raises:
        UserError: it cannot be loaded, or the backend cannot run it.
    """
    classifier = load(source.path, device=settings.device)
    # Weights are mapped from their file, which may be overwritten where it lies: keep them in memory of our own.
    for tensor in (*classifier.model.parameters(), *classifier.model.buffers()):
        tensor.data = tensor.data.clone()
    backend = None
    if settings.backend == "onnx":
        from alexnet.serving.onnx_backend import OnnxBackend

        backend = OnnxBackend(classifier, settings.threads)
    engine = Engine(source.name, classifier, settings.max_pixels, backend)
    blank = np.zeros(engine.input_shape, np.uint8)
    for count in (1, settings.max_batch or engine.fastest_batch):
        engine.score([blank] * count)
    return engine
