"""The application: routes, problems, and what happens when it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from alexnet._version import __version__
from alexnet.serving import labels, openapi, page, predict, protocol_v2, retraining
from alexnet.serving.guard import Guard
from alexnet.serving.models import ModelSource
from alexnet.serving.problems import Problem
from alexnet.serving.service import Service
from alexnet.serving.settings import Settings

_log = logging.getLogger("alexnet.serving")

OnFailure = Callable[[BaseException], None]


class Application:
    """The ASGI application of a service; also usable under another server.

    Args:
        sources: the networks.
        settings: limits and permissions.
        only_local: refuse requests for another host than this machine.
        on_ready: called when the networks answer.
        on_failure: called when they cannot be loaded.
    """

    def __init__(
        self,
        sources: Sequence[ModelSource],
        settings: Settings,
        *,
        only_local: bool = True,
        on_ready: Callable[[], None] | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._fastapi = FastAPI(
            title="alexnet",
            version=__version__,
            description="Image classification. Errors are RFC 9457 problem documents.",
            docs_url=None,  # its page would load scripts from elsewhere
            redoc_url=None,
            lifespan=self._lifespan,
            redirect_slashes=False,
        )
        self.service = Service(sources, settings)
        self.guard = Guard(self._fastapi, settings, self.service.metrics, only_local=only_local)
        for router in (
            predict.routes(self.service, self.guard),
            protocol_v2.routes(self.service),
            labels.routes(self.service),
            retraining.routes(self.service),
            page.routes(self.service),
        ):
            self._fastapi.include_router(router)
        self._add_problems()
        self._describe()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        await self.guard(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(self._load())
        yield
        self.service.is_stopping = True
        loading.cancel()
        await self.service.close()

    async def _load(self) -> None:
        try:
            await self.service.models.load()
        except Exception as error:
            if self._on_failure is None:
                _log.exception("the models cannot be loaded")
            else:
                self._on_failure(error)
            return
        if self._on_ready is not None:
            self._on_ready()

    def _add_problems(self) -> None:
        @self._fastapi.exception_handler(Problem)
        async def on_problem(_: Request, problem: Problem) -> Response:
            return problem.response()

        @self._fastapi.exception_handler(HTTPException)
        async def on_http(request: Request, error: HTTPException) -> Response:
            detail = {
                404: f"there is nothing at {request.url.path[:200]}",
                405: f"{request.url.path[:200]} takes no {request.method}",
            }.get(error.status_code, str(error.detail))
            problem = Problem(error.status_code, "http", detail)
            answer = problem.response()
            answer.headers.update(error.headers or {})
            return answer

        @self._fastapi.exception_handler(Exception)
        async def on_failure(_: Request, __: Exception) -> Response:
            return Problem(500, "failed", "the service failed; its log says why", close=True).response()

    def _describe(self) -> None:
        make = self._fastapi.openapi

        def described() -> dict[str, Any]:
            document = make()
            document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = openapi.PROBLEM
            return document

        self._fastapi.openapi = described  # type: ignore[method-assign]
