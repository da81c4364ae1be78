"""Prepared requests with checked answers, and the program that sends them."""

from __future__ import annotations

import http.client
import json
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tests.bench.serving.dialects import Dialect, Request, same

HOST = "127.0.0.1"
ANSWER_SECONDS = 60


class UnfitError(Exception):
    """A server does not answer this, or not correctly."""


@dataclass(frozen=True)
class Question:
    """A table, and the model's own predictions for it."""

    frame: pd.DataFrame
    expected: list[Any]


def ask(connection: http.client.HTTPConnection, dialect: Dialect, request: Request, expected: list[Any]) -> bytes:
    """Send one request and return the body of its answer, once it is known to be correct."""
    connection.request("POST", request.path, request.body, dict(request.headers))
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise UnfitError(f"HTTP {response.status}: {body[:200].decode(errors='replace')}")
    headers = {name.lower(): value for name, value in response.getheaders()}
    try:
        got = dialect.read(headers, body)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnfitError(f"an answer that cannot be read ({type(error).__name__}: {str(error)[:100]})") from None
    if not same(got, expected):
        raise UnfitError(f"wrong predictions: {str(got)[:80]}, expected {str(expected)[:80]}")
    return body


def prepare(port: int, dialect: Dialect, questions: Sequence[Question], path: Path) -> Path:
    """Ask each question once, check its answer, and write both in the format of loadgen/requests.go."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        with path.open("wb") as file:
            file.write(struct.pack("<I", len(questions)))
            for question in questions:
                request = dialect.encode(question.frame)
                try:
                    body = ask(connection, dialect, request, question.expected)
                except (OSError, http.client.HTTPException) as error:
                    raise UnfitError(f"no answer ({type(error).__name__})") from None
                for block in (request.wire(f"{HOST}:{port}"), body):
                    file.write(struct.pack("<I", len(block)) + block)
    finally:
        connection.close()
    return path


@dataclass(frozen=True)
class Load:
    """How requests are sent."""

    connections: int
    seconds: float
    rate: float = 0
    """Requests a second of the open loop; 0 is the closed loop."""
    timeout: float = 60


def run(generator: Path, port: int, requests: Path, load: Load) -> dict[str, Any]:
    """Send, and return what the generator counted."""
    command = [str(generator), "-address", f"{HOST}:{port}", "-requests", str(requests)]
    command += ["-connections", str(load.connections), "-duration", f"{load.seconds}s"]
    command += ["-rate", str(load.rate), "-timeout", f"{load.timeout}s"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnfitError(f"the load ended early: {done.stderr.strip()[-200:]}")
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted
