"""The Open Inference Protocol, version 2 (KServe, Triton, MLServer).

The input `image` is a tensor UINT8 [N, H, W, 3] or [N, H, W], or BYTES [N]: files in base64. The output
`probabilities` is FP32 [N, K], calibrated where the network is; `answer` is BYTES [N]: a class, `unsure` or `none`.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alexnet._version import __version__
from alexnet.serving import openapi
from alexnet.serving.engine import Engine, Pixels, Scores
from alexnet.serving.intake import from_base64
from alexnet.serving.predict import json_response
from alexnet.serving.problems import Problem

if TYPE_CHECKING:
    from alexnet.serving.service import Service

_INPUT, _OUTPUTS = "image", ("probabilities", "answer")
_VERSION = "1"


def routes(service: Service) -> APIRouter:
    """The protocol's routes."""
    router = APIRouter()

    @router.get("/v2", **openapi.V2_GET)
    async def server() -> Response:
        """What this server is."""
        return json_response({"name": "alexnet", "version": __version__, "extensions": []})

    @router.get("/v2/health/live", **openapi.V2_GET)
    async def live() -> Response:
        """Whether the process answers."""
        return json_response({"live": True})

    @router.get("/v2/health/ready", **openapi.V2_GET)
    async def ready() -> Response:
        """Whether every model answers."""
        service.check_ready()
        return json_response({"ready": True})

    @router.get("/v2/models/{name}", **openapi.V2_GET)
    async def model(name: str) -> Response:
        """A model's inputs and outputs."""
        return json_response(_metadata(service.models.get(name).engine))

    @router.get("/v2/models/{name}/ready", **openapi.V2_GET)
    async def model_ready(name: str) -> Response:
        """Whether a model answers."""
        service.models.get(name)
        service.check_ready(name)
        return json_response({"name": name, "ready": True})

    @router.post("/v2/models/{name}/infer", **openapi.V2_INFER)
    async def infer(name: str, request: Request) -> Response:
        """Classify images."""
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "content-type", "this protocol takes application/json here")
        service.models.get(name)
        async with service.body(request) as body:
            async with service.parsing:
                asked, wanted, images = await asyncio.to_thread(_read, body, service.settings.max_images)
            engine, results = await service.score(name, images)
        for result in results:
            if isinstance(result, Problem):
                raise result
        scores = [result for result in results if isinstance(result, Scores)]
        outputs = [_output(engine, output, scores, service.settings.accept) for output in wanted]
        answer = {"model_name": name, "model_version": _VERSION, "outputs": outputs}
        return json_response(answer if asked.get("id") is None else {**answer, "id": asked["id"]})

    return router


def _metadata(engine: Engine) -> dict[str, Any]:
    C, K = engine.input_shape[2], len(engine.class_names)
    return {
        "name": engine.name,
        "versions": [_VERSION],
        "platform": "alexnet",
        "inputs": [{"name": _INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, C]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, K]},
            {"name": "answer", "datatype": "BYTES", "shape": [-1]},
        ],
        "parameters": {"classes": json.dumps(engine.class_names, ensure_ascii=False)},
    }


def _output(engine: Engine, name: str, scores: list[Scores], accept: float) -> dict[str, Any]:
    if name == "probabilities":
        data: list[Any] = np.stack([each.p_K for each in scores]).ravel().tolist()
        return {"name": name, "datatype": "FP32", "shape": [len(scores), len(engine.class_names)], "data": data}
    answers = [engine.answer(each, 1, accept)["answer"] for each in scores]
    return {"name": name, "datatype": "BYTES", "shape": [len(scores)], "data": answers}


def _wrong(detail: str) -> Problem:
    return Problem(400, "bad-inference-request", detail)


def _read(body: bytes, most: int) -> tuple[dict[str, Any], list[str], list[tuple[bytes | Pixels, str]]]:
    """The request, the names of the outputs it wants, and its images."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("id"), str | None):
        raise _wrong("the body must be an object with inputs, and its id a string")
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _wrong(f'inputs must be a list of one tensor, named "{_INPUT}"')
    outputs = asked.get("outputs") or [{"name": name} for name in _OUTPUTS]
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise _wrong("outputs must be a list of objects that have a name")
    names = [each.get("name") for each in outputs]
    if not all(name in _OUTPUTS for name in names):
        raise _wrong(f"outputs must name some of {', '.join(_OUTPUTS)}")
    return asked, [name for name in _OUTPUTS if name in names], _read_tensor(inputs[0], most)


def _read_tensor(tensor: dict[str, Any], most: int) -> list[tuple[bytes | Pixels, str]]:
    shape, data, datatype = tensor.get("shape"), tensor.get("data"), tensor.get("datatype")
    if tensor.get("name") != _INPUT:
        raise _wrong(f'the input is called "{_INPUT}"')
    if not isinstance(shape, list) or not all(type(side) is int and 0 < side < 2**31 for side in shape) or not shape:
        raise _wrong("shape must be a list of positive whole numbers")
    if not isinstance(data, list):
        raise _wrong("data must be a list")
    if shape[0] > most:
        raise Problem(413, "too-many-images", f"a request may have {most} images at most, not {shape[0]}")
    if datatype == "BYTES":
        if len(shape) != 1 or len(data) != shape[0] or not all(isinstance(each, str) for each in data):
            raise _wrong("BYTES must have the shape [N] and N strings in base64")
        return [(from_base64(each, f"image {i}"), f"image {i}") for i, each in enumerate(data, start=1)]
    if datatype != "UINT8":
        raise _wrong("datatype must be UINT8 or BYTES")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise _wrong("UINT8 must have the shape [N, H, W, 3], [N, H, W, 1] or [N, H, W]")
    try:
        values = np.array(
            data, dtype=np.float64
        )  # of this size whatever is in it: text would take its longest piece's
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(f"data is not a tensor: {error}") from None
    if values.size != math.prod(shape):
        raise _wrong(f"data must hold {math.prod(shape)} numbers")
    if not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():  # nothing is rounded or wrapped
        raise _wrong("UINT8 data must be whole numbers in 0..255")
    pixels = values.astype(np.uint8).reshape(shape)
    if len(shape) == 4 and shape[3] == 1:
        pixels = pixels[..., 0]
    return [(np.ascontiguousarray(image), f"image {i}") for i, image in enumerate(pixels, start=1)]
