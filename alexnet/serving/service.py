"""What the routes share: the networks, the limits and the figures of one service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from alexnet.errors import UserError
from alexnet.serving.engine import Engine, Pixels, Scores
from alexnet.serving.intake import Asked, Body, Memory, read_images
from alexnet.serving.metrics import Labels, Metrics
from alexnet.serving.models import Models, ModelSource
from alexnet.serving.problems import Problem, unavailable
from alexnet.serving.retraining import Retraining
from alexnet.serving.settings import Settings

_AT_ONCE = 2**18  # bytes; parsing larger bodies is left to a thread

_log = logging.getLogger("alexnet.serving")


class Service:
    """One running service. Made on the event loop."""

    def __init__(self, sources: Sequence[ModelSource], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.models = Models(sources, settings, self.metrics)
        self.memory = Memory(settings.max_memory_bytes)
        self.retraining = Retraining(self)
        self.parsing = asyncio.Semaphore(1)
        """Large bodies are parsed one at a time: JSON may take twenty times its size in memory."""
        self.is_stopping = False

    def body(self, request: Request) -> Body:
        """The request's body, to be read in an `async with`; its errors are those of `Body`."""
        return Body(request, self.memory, self.settings)

    async def read(self, request: Request, body: bytes) -> Asked:
        """The images in a request whose body was read; errors are those of `read_images`."""
        content_type = request.headers.get("content-type", "")
        query = _query(request)
        if len(body) < _AT_ONCE:
            return read_images(body, content_type, query, self.settings)
        async with self.parsing:
            return await asyncio.to_thread(read_images, body, content_type, query, self.settings)

    async def score(
        self, model: str | None, images: Sequence[tuple[bytes | Pixels, str]]
    ) -> tuple[Engine, list[Scores | Problem]]:
        """What a network says of images, and the network, which another may have replaced by now.

        Errors are those of `Models.get` and `Batcher.score`.
        """
        batcher = self.models.get(model)
        if len(images) > self.settings.max_waiting:
            raise Problem(
                413, "too-many-images", f"{len(images)} images at once, of at most {self.settings.max_waiting}"
            )
        results = await batcher.score(images, self.settings.answer_s)
        name = batcher.engine.name
        bad = sum(isinstance(result, Problem) for result in results)
        if bad:
            self.metrics.images.add((("model", name), ("outcome", "failed")), bad)
        if bad < len(results):
            self.metrics.images.add((("model", name), ("outcome", "answered")), len(results) - bad)
        return batcher.engine, results

    async def reload(self) -> None:
        """Take the networks' files anew.

        Raises:
            Problem: 409, one cannot be loaded; all answer as before.
        """
        try:
            await self.models.load()
        except (UserError, OSError) as error:
            self.metrics.reloads.add((("outcome", "failed"),))
            _log.error("not reloaded, the models stay as they are: %s", error)
            raise Problem(409, "not-reloaded", f"the models stay as they are: {error}") from error
        self.metrics.reloads.add((("outcome", "done"),))
        _log.info("reloaded %s", ", ".join(self.models.names))

    async def close(self) -> None:
        """Let everything that was accepted finish."""
        await self.retraining.stop()
        await self.models.close()

    def check_ready(self, model: str | None = None) -> None:
        """Raise `Problem` (503) unless the network, or where none is named every one, answers."""
        if self.is_stopping:
            raise unavailable("stopping", "the service is stopping")
        if not self.models.is_ready(model):
            raise unavailable("loading", "the models are being loaded")

    def metrics_text(self, under_way: int) -> str:
        """The page that Prometheus reads."""
        waiting: dict[Labels, float] = {(("model", name),): n for name, n in self.models.waiting().items()}
        ready: dict[Labels, float] = {
            (("model", name),): float(self.models.is_ready(name)) for name in self.models.names
        }
        return self.metrics.text(
            {
                "alexnet_requests_under_way": ("Requests under way.", {(): under_way}),
                "alexnet_request_bytes": ("Bytes of the requests under way.", {(): self.memory.used_bytes}),
                "alexnet_queue_images": ("Images that wait or are at work.", waiting),
                "alexnet_model_ready": ("1 where the model answers.", ready),
            }
        )


def _query(request: Request) -> dict[str, Any]:
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) < len(pairs):
        raise Problem(422, "bad-value", "an option is given twice")
    return query
