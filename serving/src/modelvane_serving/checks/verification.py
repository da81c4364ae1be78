"""The user's own requests, answered before the server listens, by the code that will answer everybody else's."""

import asyncio
import importlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from modelvane_serving.app import App
from modelvane_serving.checks.expectations import ANYTHING, SHOWN, VerificationRequest, find_difference
from modelvane_serving.failure import VERIFICATION_REQUEST_FAILED, StartError, one_line
from modelvane_serving.messages import JSON_TYPE, Message, Request, Response

_log = logging.getLogger(__name__)

SchemaCheck = Callable[[Any], str | None]


def verify_requests(app: App, requests: Sequence[VerificationRequest], checks: Sequence[SchemaCheck | None]) -> None:
    """Send each request and compare its answer; the first that differs ends the program."""
    if not requests:
        return
    started = time.monotonic()
    responses = asyncio.run(_send_all(app, requests))
    for request, response, check in zip(requests, responses, checks, strict=True):
        difference = _compare(request, response, check)
        if difference is not None:
            message = f"request {request.name!r} to {request.path}: {difference}"
            raise StartError(VERIFICATION_REQUEST_FAILED, message)
    fields = {"requests": len(requests), "seconds": round(time.monotonic() - started, 3)}
    _log.info("verification requests answered as expected", extra={"fields": fields})


def read_schemas(requests: Sequence[VerificationRequest]) -> list[SchemaCheck | None]:
    """Check the schemas that the requests expect; before the model is loaded, because they are settings."""
    return [_read_schema(request) if request.expect.schema is not None else None for request in requests]


def _read_schema(request: VerificationRequest) -> SchemaCheck:
    schemas: Any = importlib.import_module("modelvane_serving.checks.schemas")
    where = f"{request.where}.expect.schema"
    validator = schemas.read_schema(where, request.expect.schema)

    def check(answer: Any) -> str | None:
        misfit: str | None = schemas.find_misfit(where, validator, answer)
        return misfit

    return check


async def _send_all(app: App, requests: Sequence[VerificationRequest]) -> list[Response]:
    return [await _send(app, request) for request in requests]


async def _send(app: App, request: VerificationRequest) -> Response:
    async def receive() -> Message:
        return {"type": "http.request", "body": request.body, "more_body": False}

    # As a server would hand it over, but to the part of the app that does not count: what the metrics show is traffic.
    return await app.answer(
        Request(
            method="POST",
            path=unquote(urlsplit(request.path).path),
            headers={b"content-type": JSON_TYPE, b"content-length": b"%d" % len(request.body)},
            receive=receive,
        )
    )


def _compare(request: VerificationRequest, response: Response, check: SchemaCheck | None) -> str | None:
    expect = request.expect
    text = one_line(response.body.decode(errors="replace"), SHOWN)
    if response.status != expect.status:
        return f"expected status {expect.status}, got {response.status}: {text}"
    if expect.json is ANYTHING and check is None:
        return None
    try:
        answer = json.loads(response.body)
    except ValueError:
        return f"expected JSON, got {text}"
    difference = None if expect.json is ANYTHING else find_difference(expect.json, answer, expect.tolerance)
    return difference or (check(answer) if check is not None else None)
