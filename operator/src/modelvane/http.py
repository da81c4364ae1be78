"""/healthz, /readyz and /metrics on one port; the webhook has one of its own, which others may be let in to.

A standby replica is ready too: readiness says that the process can take over, not that it leads.
"""

import logging
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

SILENCE = 75
"""Seconds for which a connection may be idle, or not yet have sent a whole head. aiohttp would give it an hour."""


async def start_http(port: int, is_healthy: Callable[[], bool], is_ready: Callable[[], bool]) -> web.AppRunner:
    """Start answering. Being able to answer at all shows that the event loop is alive."""

    async def healthz(_: web.Request) -> web.Response:
        return _say(is_healthy())

    async def readyz(_: web.Request) -> web.Response:
        return _say(is_ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return await listen(app, port)


async def listen(app: web.Application, port: int, complaints: logging.Logger | None = None) -> web.AppRunner:
    """Listen on a port. Bodies are handed over as they came, for a signature is one of bytes; the rest is not read."""
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=complaints or logging.getLogger("aiohttp.server"),
        shutdown_timeout=1,
        auto_decompress=False,
        lingering_time=0,
        keepalive_timeout=SILENCE,
    )
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _say(good: bool) -> web.Response:
    return web.Response(text="ok\n") if good else web.Response(text="not ok\n", status=503)
