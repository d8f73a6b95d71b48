"""What went wrong with a request, as RFC 9457 has it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        code: what kind of problem it is, in kebab case; clients may rely on it.
        detail: what is wrong with this request, and what to do.
        retry_after_s: when the same request may do better.
        close: whether the connection must be closed, as the rest of the request is not read.
        more: further members of the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after_s: int | None = None,
        close: bool = False,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.close = close
        self.more = more or {}

    def to_json(self) -> dict[str, Any]:
        """The document. Its `error` is what the Open Inference Protocol asks for."""
        return {
            "type": f"urn:alexnet:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "error": self.detail,
            **self.more,
        }

    def response(self) -> Response:
        """The document as an answer."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.close:
            headers["Connection"] = "close"
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="alexnet"'
        body = json.dumps(self.to_json(), ensure_ascii=False).encode("utf-8", "replace")
        return Response(body, self.status, headers, MEDIA_TYPE)


def busy(detail: str) -> Problem:
    """There is more to do than may wait."""
    return Problem(429, "busy", detail, retry_after_s=1)


def unavailable(code: str, detail: str) -> Problem:
    """It cannot be answered now."""
    return Problem(503, code, detail, retry_after_s=1)
