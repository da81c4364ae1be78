"""What is wrong between the operator and a registry, in one sentence that does not change while the cause is the same.

The sentence ends up in conditions, so an address, a count or a time in it would be a write to the API server at each
try. MLflow, requests and urllib3 wrap one another's errors; the first cause is at the bottom. Pure.
"""

import re
import socket
import ssl
from collections.abc import Collection, Iterable, Iterator

import requests

from modelvane.engine.state import Unreachable

REQUEST_TIMEOUT = 5


class UnreachableError(Exception):
    """The registry could not be read. The message is the same as long as the cause is."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.why = Unreachable(reason, message)


def unexpected(uri: str) -> UnreachableError:
    """Say that something answers which is no registry."""
    return UnreachableError("UnexpectedAnswer", f"{uri} answers, but not as an MLflow registry does: check spec.uri")


def explain(error: BaseException, uri: str) -> UnreachableError:
    """Say what is wrong between the operator and a registry, and what to check."""
    causes = list(_causes(error))
    text = _text(causes)
    status = status_of(error)
    kinds = tuple(map(type, causes))
    if _any(kinds, socket.gaierror) or "NameResolutionError" in text:
        return UnreachableError("NameNotResolved", f"the host of {uri} cannot be resolved: check spec.uri")
    if _any(kinds, ConnectionRefusedError):
        return UnreachableError("ConnectionRefused", f"{uri} refuses connections: it is down, or the port is wrong")
    if _any(kinds, ssl.SSLError, requests.exceptions.SSLError):
        return UnreachableError("TLSFailed", f"the certificate of {uri} is not trusted: check spec.caBundleRef")
    if _any(kinds, requests.exceptions.Timeout, TimeoutError):
        return UnreachableError("Timeout", f"{uri} gives no answer within {REQUEST_TIMEOUT} s")
    if status in (401, 403):
        return UnreachableError(
            "Unauthorized", f"{uri} answers {status}: check the Secret that spec.credentialsSecretRef names"
        )
    if status == 429:
        return UnreachableError("RateLimited", f"{uri} answers 429: raise spec.pollInterval")
    if status is not None and status >= 500:
        return UnreachableError("ServerError", f"{uri} answers {status}: see the log of the MLflow server")
    if _any(kinds, requests.exceptions.ConnectionError, ConnectionError):
        return UnreachableError("ConnectionFailed", f"the connection to {uri} breaks before an answer comes")
    if status is not None:
        return UnreachableError("UnexpectedAnswer", f"{uri} answers {status}: check spec.uri")
    return unexpected(uri)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status with which a registry, or whatever stands before it, answered; None without an answer."""
    causes = list(_causes(error))
    match = re.search(r"too many (\d{3}) error", _text(causes))
    return int(match[1]) if match else next(filter(None, map(_status, causes)), None)


def _text(causes: Iterable[BaseException]) -> str:
    return " ".join(str(cause) for cause in causes)


def _status(cause: BaseException) -> int | None:
    """Find the HTTP status: MLflow's own errors carry it with their JSON, a stranger's answer only in the text."""
    if hasattr(cause, "json") and hasattr(cause, "get_http_status_code"):
        return int(cause.get_http_status_code())
    match = re.search(r"failed with error code (\d{3})", str(cause))
    return int(match[1]) if match else None


def _any(kinds: Collection[type], *wanted: type) -> bool:
    return any(issubclass(kind, wanted) for kind in kinds)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down to the first cause, through the wrappings of MLflow, requests and urllib3."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        current = todo.pop()
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
