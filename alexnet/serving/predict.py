"""`POST /v1/predict`, `GET /v1/models`, `POST /v1/reload`, health and metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alexnet.serving import metrics, openapi
from alexnet.serving.engine import Engine, Scores
from alexnet.serving.problems import Problem

if TYPE_CHECKING:
    from alexnet.serving.guard import Guard
    from alexnet.serving.service import Service


def json_response(values: Any, status: int = 200) -> Response:
    """`values` as an answer that no cache keeps."""
    body = json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")


def routes(service: Service, guard: Guard) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.post("/v1/predict", **openapi.PREDICT)
    async def predict(request: Request) -> Response:
        """Name what is in one image or several."""
        async with service.body(request) as body:
            asked = await service.read(request, body)
            engine, results = await service.score(asked.model, asked.images)
        top, accept = service.settings.top, service.settings.accept
        if asked.top is not None:
            top = asked.top
        if asked.accept is not None:
            accept = asked.accept
        return _answer(engine, asked.names, results, top, accept)

    @router.get("/v1/models", **openapi.MODELS)
    async def models() -> Response:
        """The networks that answer, the first of them by default, and the limits."""
        settings = service.settings
        limits = {
            "body_bytes": settings.max_body_bytes,
            "pixels": settings.max_pixels,
            "images": settings.max_images,
        }
        return json_response({"models": service.models.facts(settings.accept), "limits": limits})

    @router.post("/v1/reload", **openapi.RELOAD)
    async def reload() -> Response:
        """Take the models' files anew; requests under way and those that come meanwhile are answered."""
        if service.settings.token is None:
            raise Problem(403, "no-token", "reloading over HTTP takes a service with --token; or send it SIGHUP")
        await service.reload()
        return json_response({"models": service.models.names})

    @router.get("/healthz", **openapi.HEALTH)
    async def healthz() -> Response:
        """Whether the process answers at all."""
        return json_response({"status": "ok"})

    @router.get("/readyz", **openapi.READY)
    async def readyz() -> Response:
        """Whether every model answers."""
        service.check_ready()
        return json_response({"status": "ready"})

    @router.get("/metrics", **openapi.METRICS)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics_text(guard.under_way), media_type=metrics.MEDIA_TYPE)

    return router


def _answer(
    engine: Engine, names: tuple[str | None, ...], results: list[Scores | Problem], top: int, accept: float
) -> Response:
    predictions = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, Problem):
            prediction: dict[str, Any] = {
                "classes": [],
                "answer": None,
                "error": result.detail,
                "status": result.status,
                "code": result.code,
            }
        else:
            prediction = {**engine.answer(result, top, accept), "error": None}
        predictions.append(prediction if name is None else {"name": name, **prediction})
    problems = [result for result in results if isinstance(result, Problem)]
    answer = {"model": engine.name, "predictions": predictions}
    if not problems:
        return json_response(answer)
    if len(problems) < len(results):
        return json_response(answer, 207)
    if len(results) == 1:
        raise problems[0]
    statuses = {problem.status for problem in problems}
    first = problems[0]
    same = len(statuses) == 1
    raise Problem(
        first.status if same else 422,
        first.code if same else "all-failed",
        f"none of the {len(results)} images could be classified; the first: {first.detail}",
        retry_after_s=first.retry_after_s if same else None,
        more=answer,
    )
