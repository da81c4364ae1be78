"""The HTTP server: uvicorn, which stops accepting the moment it is told to, taught to drain first.

When a pod is deleted, Kubernetes sends SIGTERM while proxies and kubelets still send it new connections for a while. So
the server says that it is not ready, asks every caller to reconnect elsewhere, goes on answering, and only then stops.
"""

import asyncio
import logging
import socket
import time
from types import FrameType
from typing import Any, Final, Protocol, cast

import uvicorn
from uvicorn._types import ASGIApplication

from modelvane_serving.connection import Connection
from modelvane_serving.settings import ServeSettings

_log = logging.getLogger(__name__)

# Longer than what clients and proxies keep an idle connection (60 s is common), so that they close it, not we: a server
# that closes first may do so while a request is on its way.
KEEP_ALIVE_SECONDS: Final = 75
BACKLOG: Final = 2048


class Draining(Protocol):
    """An ASGI application that can be told that its pod is about to go."""

    draining: bool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""


class DrainingServer(uvicorn.Server):
    """Serves until SIGTERM, drains for a while, finishes what is in flight, ends with code 0."""

    def __init__(self, app: Draining, settings: ServeSettings, *, parent_pipe: int | None) -> None:
        headers = {"Modelvane-Model-Version": settings.model_version, "Modelvane-Revision": settings.revision}
        super().__init__(
            uvicorn.Config(
                cast(ASGIApplication, app),
                loop="uvloop",
                http=Connection,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                # uvicorn puts them on its own answers too, to what is not even HTTP.
                headers=list(headers.items()),
                backlog=BACKLOG,
                ssl_certfile=settings.tls[0] if settings.tls is not None else None,
                ssl_keyfile=settings.tls[1] if settings.tls is not None else None,
            )
        )
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._receive_seconds = settings.receive_seconds
        self._parent_pipe = parent_pipe
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain; a second signal ends it. The signal is not kept: uvicorn would raise it again at the end."""
        if self._stop_at is None:
            self._app.draining = True
            self._stop_at = time.monotonic() + self._drain_seconds
            _log.info("draining", extra={"fields": {"signal": sig, "seconds": self._drain_seconds}})
        else:
            self._stop_at = time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and watch the parent process if there is one: without it nobody would pass SIGTERM on."""
        await super().startup(sockets)
        if self._parent_pipe is not None:
            asyncio.get_running_loop().add_reader(self._parent_pipe, self._parent_gone)
        _log.info("serving")

    async def on_tick(self, counter: int) -> bool:
        """Look at the clock, ten times a second."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        if counter % 10 == 0:
            self._look_at_connections()
        return await super().on_tick(counter)

    def _look_at_connections(self) -> None:
        """End the requests whose sender takes too long, and what is idle: each holds memory for nothing."""
        now = asyncio.get_running_loop().time()
        slow = [
            connection
            for connection in list(self.server_state.connections)
            if isinstance(connection, Connection)
            and connection.check_time(now, self._receive_seconds, KEEP_ALIVE_SECONDS)
        ]
        if slow:
            _log.warning("requests did not arrive in time", extra={"fields": {"requests": len(slow)}})

    def _parent_gone(self) -> None:
        if self._parent_pipe is not None:
            asyncio.get_running_loop().remove_reader(self._parent_pipe)
        self.handle_exit(0, None)
