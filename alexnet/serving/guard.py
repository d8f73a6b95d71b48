"""What every request passes: who may ask, how many at once, and the heads that every answer carries."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alexnet.serving.metrics import Metrics
from alexnet.serving.problems import Problem, busy
from alexnet.serving.settings import LOOPBACK, Settings

# The page's scripts, styles and words are files of ours; pictures that a visitor chose are blob: and data:.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = tuple(
    (name.encode(), value.encode())
    for name, value in (
        ("content-security-policy", _CSP),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(self), microphone=(), geolocation=()"),
    )
)
_PROTECTED = ("/v1/", "/v2", "/metrics")
_OPEN_V2 = ("/v2/health/live", "/v2/health/ready")

_log = logging.getLogger("alexnet.serving")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


class Guard:
    """An ASGI application around another.

    Args:
        app: what answers.
        settings: the token and the limits.
        metrics: counts requests.
        only_local: names in the Host head must be this machine's: a page elsewhere that had its name point here
            (DNS rebinding) could read answers otherwise.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, *, only_local: bool) -> None:
        self._app = app
        self._token = None if settings.token is None else settings.token.encode()
        self._max_requests = settings.max_requests
        self._metrics = metrics
        self._only_local = only_local
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        self.under_way += 1
        try:
            problem = self._refuse(scope)
            if problem is not None:
                await problem.response()(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        finally:
            self.under_way -= 1
            path = getattr(scope.get("route"), "path", "other")  # as declared: names in paths would never end
            self._metrics.requests.add((("path", path), ("status", str(status))))
            self._metrics.seconds.observe(time.perf_counter() - began, (("path", path),))

    def _refuse(self, scope: Scope) -> Problem | None:
        """Why the request is not answered, or None."""
        headers, path = Headers(scope=scope), scope["path"]
        if self._only_local and _host_of(headers.get("host", "")) not in (*LOOPBACK, ""):
            return Problem(421, "other-host", "this service answers to localhost only")
        if not self._may_ask(headers, path):
            return Problem(401, "token", "send the service's token: Authorization: Bearer TOKEN")
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in ("GET", "HEAD") and not _same_origin(origin, headers):
            return Problem(403, "other-origin", "pages of other sites may not use this service")
        if self.under_way > self._max_requests and path.startswith(("/v1/", "/v2/models")):
            return busy(f"{self._max_requests} requests are under way: try again later")
        return None

    def _may_ask(self, headers: Headers, path: str) -> bool:
        if self._token is None or not path.startswith(_PROTECTED) or path in _OPEN_V2:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


def _host_of(host: str) -> str:
    """The name in a Host head, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return "?"


def _same_origin(origin: str, headers: Headers) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False
