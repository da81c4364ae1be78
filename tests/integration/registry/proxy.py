"""A real HTTP proxy before a real server, which does to the operator what proxies do on bad days."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from enum import Enum

import aiohttp
from aiohttp import web

SLOW_SECONDS = 30
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"})


class Mood(Enum):
    """What the proxy does with a request instead of passing it on."""

    TOO_MANY = "answers 429"
    BROKEN = "answers 500"
    BAD_GATEWAY = "answers 502 with a page of its own"
    SLOW = "answers after 30 s"
    LOGIN_PAGE = "answers 200 with a page"
    EMPTY = "answers 200 with nothing"
    OTHER_JSON = "answers 200 with JSON that is not MLflow's"
    EMPTY_JSON = "answers 200 with an empty object, which to MLflow is an empty list"
    NOT_FOUND = "answers 404 with a page of its own"
    CUT = "closes the connection instead of answering"


class Proxy:
    """A proxy in a thread of its own."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.mood: Mood | None = None
        self.lets_pass: Callable[[], bool] = lambda: False
        """Whether a request is passed on although the mood is bad."""
        self.seen: list[str] = []
        """Every request, as `METHOD /path`."""
        self.url = ""

    def start(self) -> None:
        """Start listening."""
        self._thread.start()
        self._wait(self._open())

    def stop(self) -> None:
        """Stop listening."""
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _wait(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path}")
        if self.mood is not None and not self.lets_pass():
            return await _misbehave(request, self.mood)
        assert self._client is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            async with self._client.request(
                request.method, self._target + request.path_qs, headers=headers, data=await request.read()
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"<html>{error}</html>", content_type="text/html")


async def _misbehave(request: web.Request, mood: Mood) -> web.Response:
    match mood:
        case Mood.TOO_MANY:
            return web.Response(status=429, text="slow down", headers={"Retry-After": "120"})
        case Mood.BROKEN:
            return web.json_response({"error_code": "INTERNAL_ERROR", "message": "broken"}, status=500)
        case Mood.BAD_GATEWAY:
            return _page(502)
        case Mood.SLOW:
            await asyncio.sleep(SLOW_SECONDS)
            return web.json_response({})
        case Mood.LOGIN_PAGE:
            return _page(200)
        case Mood.EMPTY:
            return web.Response()
        case Mood.OTHER_JSON:
            return web.json_response([{"maintenance": True}])
        case Mood.EMPTY_JSON:
            return web.json_response({})
        case Mood.NOT_FOUND:
            return _page(404)
        case Mood.CUT:
            if request.transport is not None:
                request.transport.close()
            return web.Response()


def _page(status: int) -> web.Response:
    return web.Response(status=status, text="<html><h1>Corporate login</h1></html>", content_type="text/html")
