"""/healthz, /readyz and /metrics on one port.

A standby replica is ready too: readiness says that the process can take over, not that it leads.
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _say(good: bool) -> web.Response:
    return web.Response(text="ok\n") if good else web.Response(text="not ok\n", status=503)
