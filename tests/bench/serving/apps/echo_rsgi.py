"""What granian costs without any work, by its own protocol: it answers with what it was sent."""

from __future__ import annotations

from typing import Any

HEADERS = [("content-type", "application/json")]


async def app(_scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, HEADERS, await protocol())
