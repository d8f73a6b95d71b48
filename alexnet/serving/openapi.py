"""What the routes take and return, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string"},
    },
}
_STATUSES = {
    400: "The request is malformed, empty or broke off.",
    401: "The token is missing or wrong.",
    403: "This is not allowed here.",
    404: "There is no such model, or nothing at this path.",
    405: "The path has no such method.",
    408: "The request took too long to arrive.",
    409: "It cannot be done now.",
    413: "Too many bytes, pixels or images.",
    415: "Not an image, or another content type.",
    421: "Another host was asked for.",
    422: "A broken image, or a value that cannot be.",
    429: "Too much is under way; try again.",
    500: "A failure of ours; the log has it.",
    503: "Not ready, or too slow; try again.",
}
_CLASS = {
    "type": "object",
    "required": ["name", "probability"],
    "properties": {"name": {"type": "string"}, "probability": {"type": "number", "minimum": 0, "maximum": 1}},
}
_PREDICTION = {
    "type": "object",
    "required": ["classes", "answer", "error"],
    "properties": {
        "name": {"type": "string"},
        "classes": {"type": "array", "items": _CLASS},
        "answer": {"type": ["string", "null"], "description": "A class, unsure or none."},
        "error": {"type": ["string", "null"]},
        "status": {"type": "integer", "description": "Where there is an error: the HTTP status it would have alone."},
        "code": {"type": "string", "description": "Where there is an error: its kind, as in a problem's type."},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["model", "predictions"],
    "properties": {"model": {"type": "string"}, "predictions": {"type": "array", "items": _PREDICTION}},
}
_OBJECT: dict[str, Any] = {"type": "object"}
_TOP = {"type": "integer", "minimum": 1, "maximum": 1000}
_ACCEPT = {"type": "number", "minimum": 0, "maximum": 1}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_NAMED = {
    "type": "object",
    "required": ["data"],
    "properties": {"name": {"type": "string"}, "data": _BASE64},
    "additionalProperties": False,
}
_IMAGE = {"anyOf": [_BASE64, _NAMED]}
_OPTIONS = {"model": {"type": "string"}, "top": _TOP, "accept": _ACCEPT}


def operation(
    answers: dict[int, tuple[str, dict[str, Any]]],
    problems: tuple[int, ...],
    body: dict[str, Any] | None = None,
    query: dict[str, Any] | None = None,
    media_type: str = "application/json",
) -> dict[str, Any]:
    """Keyword arguments for a route.

    Args:
        answers: description and schema of each status that is not a problem.
        problems: statuses that are.
        body: media types and schemas of the request.
        query: schemas of its query parameters.
        media_type: of the answers.
    """
    responses: dict[int, dict[str, Any]] = {
        status: {"description": what, "content": {media_type: {"schema": schema}}}
        for status, (what, schema) in answers.items()
    }
    for status in sorted({*problems, 401, 403, 405, 421, 429}):
        schema = {"$ref": "#/components/schemas/Problem"}
        responses[status] = {
            "description": _STATUSES[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
    more: dict[str, Any] = {}
    if body is not None:
        content = {kind: {"schema": schema} for kind, schema in body.items()}
        more["requestBody"] = {"required": True, "content": content}
    if query:
        more["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in query.items()
        ]
    return {"response_model": None, "status_code": min(answers), "responses": responses, "openapi_extra": more}


_BINARY = {"type": "string", "format": "binary"}
_JSON = {
    "oneOf": [
        {
            "type": "object",
            "required": ["image"],
            "properties": {"image": _IMAGE, **_OPTIONS},
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["images"],
            "properties": {"images": {"type": "array", "items": _IMAGE, "minItems": 1}, **_OPTIONS},
            "additionalProperties": False,
        },
    ]
}
_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "array", "items": _BINARY, "minItems": 1}, **_OPTIONS},
}

PREDICT = operation(
    {200: ("Every image has its answer.", _ANSWER), 207: ("Some images could not be classified.", _ANSWER)},
    (400, 404, 408, 413, 415, 422, 500, 503),
    {
        "application/octet-stream": _BINARY,
        "image/*": _BINARY,
        "multipart/form-data": _FORM,
        "application/json": _JSON,
    },
    _OPTIONS,
)
MODELS = operation({200: ("The models.", _OBJECT)}, ())
RELOAD = operation({200: ("They were taken anew.", _OBJECT)}, (409,))
HEALTH = operation({200: ("It answers.", _OBJECT)}, ())
READY = operation({200: ("Every model answers.", _OBJECT)}, (503,))
METRICS = operation({200: ("The figures.", {"type": "string"})}, (), media_type="text/plain")

_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape", "data"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"enum": ["UINT8", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "data": {"type": "array"},
        "parameters": _OBJECT,
    },
}
_INFER = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"enum": ["probabilities", "answer"]}},
            },
        },
        "parameters": _OBJECT,
    },
}
V2_GET = operation({200: ("As the protocol has it.", _OBJECT)}, (404, 422, 503))
V2_INFER = operation(
    {200: ("The outputs.", _OBJECT)}, (400, 404, 408, 413, 415, 422, 500, 503), {"application/json": _INFER}
)
LABEL = operation(
    {200: ("It was there already.", _OBJECT), 201: ("It was added.", _OBJECT)},
    (400, 404, 408, 413, 415, 422, 500, 503),
    {"application/octet-stream": _BINARY, "image/*": _BINARY},
    {"class": {"type": "string"}},
)
LABELS = operation({200: ("The classes.", _OBJECT)}, ())
RETRAIN = operation(
    {202: ("It has begun.", _OBJECT)},
    (400, 408, 409, 413, 422, 503),
    {
        "application/json": {
            "type": "object",
            "properties": {"minutes": {"type": "number", "exclusiveMinimum": 0, "maximum": 600}},
            "additionalProperties": False,
        }
    },
)
RETRAINING = operation({200: ("How far it is.", _OBJECT)}, ())
