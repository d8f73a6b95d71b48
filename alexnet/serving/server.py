"""The process: a socket, uvicorn around the application, and signals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from alexnet.errors import UserError
from alexnet.serving.app import Application
from alexnet.serving.guard import is_loopback
from alexnet.serving.models import ModelSource
from alexnet.serving.problems import Problem
from alexnet.serving.settings import Settings
from alexnet.system import usable_cores

_KEEP_ALIVE_S = 20
_BACKLOG = 2048

_log = logging.getLogger("alexnet.serving")

OnReady = Callable[[str, Sequence[str]], None]
"""Called with the service's address and the models' names when these answer."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: any that is free.

    Raises:
        UserError: the address cannot be had, with the reason.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"--host {host}: {error.strerror or error}") from error
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is in use: stop what uses it, or choose another with --port") from error
        raise UserError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return made


def address_of(host: str, made: socket.socket) -> str:
    """The URL that a browser on this machine takes."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{made.getsockname()[1]}/"


def serve(
    sources: Sequence[ModelSource], settings: Settings, host: str, port: int, on_ready: OnReady | None = None
) -> None:
    """Answer until SIGINT or SIGTERM; what is under way then is finished. SIGHUP takes the models anew.

    Sets the number of threads that torch computes with.

    Args:
        sources: the models.
        settings: limits and permissions.
        host: name or address to listen on.
        port: 0: any that is free.
        on_ready: called when the models answer.

    Raises:
        UserError: the address cannot be had, or a model cannot be loaded.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(sources, settings, host, port, on_ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(
    sources: Sequence[ModelSource], settings: Settings, host: str, port: int, on_ready: OnReady | None
) -> None:
    import torch

    made = listen(host, port)
    failure: list[BaseException] = []

    def fail(error: BaseException) -> None:
        failure.append(error)
        server.should_exit = True

    def ready() -> None:
        if on_ready is not None:
            on_ready(address_of(host, made), application.service.models.names)

    torch.set_num_threads(settings.threads or usable_cores())
    only_local = is_loopback(host) and settings.token is None
    application = Application(sources, settings, only_local=only_local, on_ready=ready, on_failure=fail)
    server = make_server(application, settings)
    reloads: set[asyncio.Task[None]] = set()

    def hang_up() -> None:
        task = asyncio.create_task(_reload(application))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with _signals(server, hang_up):
        try:
            await server.serve(sockets=[made])
        finally:
            made.close()
    if failure:
        raise failure[0]


def make_server(application: Application, settings: Settings) -> Any:
    """uvicorn around `application`, for sockets that listen already; signals are left alone."""
    import uvicorn

    class Server(uvicorn.Server):
        """uvicorn's, but for its signals."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        application,
        http=protocol_class(settings.upload_s),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    return Server(config)


async def _reload(application: Application) -> None:
    with contextlib.suppress(Problem):  # logged where it happened
        await application.service.reload()


@contextlib.contextmanager
def _signals(server: Any, hang_up: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop(*_: object) -> None:
        if server.should_exit:
            server.force_exit = True
        else:
            _log.info("stopping: what is under way is finished first; once more, and it is not")
        server.should_exit = True

    handlers: dict[signal.Signals, Callable[..., None]] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = hang_up
    added = []
    for number, handler in handlers.items():
        try:
            loop.add_signal_handler(number, handler)
            added.append(number)
        except (NotImplementedError, RuntimeError):  # on Windows, and beside the main thread
            with contextlib.suppress(ValueError):
                signal.signal(number, lambda *_, handler=handler: loop.call_soon_threadsafe(handler))
    try:
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)


def protocol_class(head_s: float) -> Any:
    """uvicorn's HTTP protocol, which also closes connections whose request line and heads do not arrive in time."""
    try:
        from uvicorn.protocols.http import httptools_impl

        base: Any = httptools_impl.HttpToolsProtocol
    except ImportError:
        from uvicorn.protocols.http import h11_impl

        base = h11_impl.H11Protocol

    class Protocol(base):  # type: ignore[misc]
        """A connection."""

        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _expect_head(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_timer()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(head_s, self._give_up)

        def _give_up(self) -> None:
            self._head_timer = None
            if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
                self.transport.close()

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return Protocol
