"""A request and an answer of the ASGI protocol, with no framework between: bytes in, bytes out."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from modelvane_serving.errors import ApiError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON_TYPE: Final = b"application/json"
INVOCATIONS: Final = "/invocations"


def text_of(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """Return a header by its lower-case name."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


class ClientGoneError(Exception):
    """The caller closed the connection before its request was whole."""


@dataclass(kw_only=True, slots=True)
class Request:
    """One HTTP request whose body has not been read yet."""

    method: str
    path: str
    # By lower-case name; of one that is there twice the last counts.
    headers: dict[bytes, bytes]
    receive: Receive

    async def body(self, limit: int) -> bytes:
        """Read the body; what is too large is refused by its declared length before it is read.

        The rest of a refused body is thrown away as it arrives, so that the caller can read its answer.
        """
        encoding = text_of(self.headers, b"content-encoding")
        if encoding and encoding.lower() != "identity":
            message = "an encoded body is not taken"
            raise ApiError(415, "UnsupportedEncoding", message, "Content-Encoding", "identity", encoding)
        declared = text_of(self.headers, b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit, int(declared))
        chunks: list[bytes] = []
        size = 0
        while True:
            message_in = await self.receive()
            if message_in["type"] == "http.disconnect":
                raise ClientGoneError
            chunk = message_in.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit, None)
            if not message_in.get("more_body", False):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)


@dataclass(kw_only=True, slots=True)
class Response:
    """One answer, whole."""

    status: int = 200
    body: bytes
    content_type: bytes = JSON_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()
    # The code in the body of one that is no success.
    error: str | None = None

    async def send(self, send: Send, *, close: bool) -> None:
        """Send it; `close` asks the caller to make its next request on a new connection."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
        ]
        if close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def _too_large(limit: int, got: int | None) -> ApiError:
    return ApiError(413, "BodyTooLarge", f"the body may have {limit} bytes", expected=limit, got=got)
