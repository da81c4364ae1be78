"""Receives MLflow's signed webhooks. A delivery that is believed wakes the poller of its registry, and that is all.

What a delivery says is not even read: the poller asks the registry, whose answer is the truth. So a delivery that is
repeated, out of order or lost can do no harm, and one that is forged would at most cost a reading.

Only the leader polls. Another replica answers 503, which MLflow takes as a reason to try again three times, the first
time at once, and closes the connection, so that the next try may reach another replica.
"""

import asyncio
import logging
import time
from typing import Protocol

from aiohttp import web

from modelvane import metrics
from modelvane.engine.state import Key
from modelvane.registry.deliveries import LONGEST_BODY, Delivery, Limiter, Seen, is_authentic, key_of, source_of

READ_TIMEOUT = 10
DELIVERIES_REMEMBERED = 4096
AT_ONCE, A_SECOND, SOURCES_REMEMBERED = 100, 20, 1024
"""MLflow sends ten at a time. What it is refused here it sends again, and polling finds what it gives up."""

logger = logging.getLogger(__name__)
strangers = logging.getLogger(f"{__name__}.strangers")
"""Where the server complains of what is no HTTP. Nobody listens: a stranger must not be able to fill the log."""
strangers.disabled = True


class Registrations(Protocol):
    """Who knows the secrets, and what a delivery is good for."""

    def secrets(self, key: Key) -> tuple[str, ...] | None:
        """Return the secrets of a registry; None when it has no webhook."""

    async def read_secrets_again(self, key: Key) -> tuple[str, ...]:
        """Return them as they are now, for they may just have been changed."""

    def delivered(self, key: Key) -> None:
        """Take note that a registry says that something happened."""


class Receiver:
    """Answers whoever calls, and believes few."""

    def __init__(self) -> None:
        self._registrations: Registrations | None = None
        self._seen = Seen(DELIVERIES_REMEMBERED)
        self._limiter = Limiter(AT_ONCE, A_SECOND, SOURCES_REMEMBERED)

    def lead(self, registrations: Registrations) -> None:
        """Take deliveries from now on."""
        self._registrations = registrations

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request, whatever it is."""
        try:
            result, status = await self._judge(request)
        except Exception:
            logger.exception("unexpected error about a delivery")
            result, status = "error", 500
        metrics.WEBHOOK_DELIVERIES.labels(result).inc()
        if status == 202:
            return web.Response(status=status)
        response = web.Response(status=status, headers={"Retry-After": "1"} if status == 429 else {})
        # Nothing more is read from whoever was refused, and a new connection may lead to another replica.
        response.force_close()
        return response

    async def _judge(self, request: web.Request) -> tuple[str, int]:
        if not self._limiter.allows(source_of(request.remote), time.monotonic()):
            return "limited", 429
        if self._registrations is None:
            return "standby", 503
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                body = await _read(request)
        except TimeoutError:
            return "slow", 408
        except (ConnectionError, web.RequestPayloadError):
            return "broken", 400
        if body is None:
            return "too_large", 413
        key = key_of(request.path) if request.method == "POST" else None
        delivery = Delivery(
            request.headers.get("X-MLflow-Delivery-Id", ""),
            request.headers.get("X-MLflow-Timestamp", ""),
            request.headers.get("X-MLflow-Signature", ""),
            body,
        )
        if key is None or not await self._is_believed(self._registrations, key, delivery):
            return "unauthentic", 401
        if (key, delivery.id) in self._seen:
            return "repeated", 202
        self._seen.add((key, delivery.id))
        logger.debug("%s: delivery %s", key, delivery.id)
        self._registrations.delivered(key)
        return "accepted", 202

    async def _is_believed(self, registrations: Registrations, key: Key, delivery: Delivery) -> bool:
        secrets = registrations.secrets(key)
        if secrets is None:
            return False
        return is_authentic(delivery, secrets, time.time()) or is_authentic(
            delivery, await registrations.read_secrets_again(key), time.time()
        )


def build_app(receiver: Receiver) -> web.Application:
    """Build what listens on the webhook's port: every method and path is the receiver's to judge."""
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", receiver.answer)])
    return app


async def _read(request: web.Request) -> bytes | None:
    """Read the body, or None once it is seen to be too long."""
    if (request.content_length or 0) > LONGEST_BODY:
        return None
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > LONGEST_BODY:
            return None
    return bytes(body)
