"""One HTTP connection: uvicorn's, with limits on how long and how large a request's head may be, and JSON refusals.

What goes wrong before there is a request is answered here, because no application ever sees it. And an answer that is
whole is written in one go, which ASGI has no message for: its two, with each header looked through by two expressions,
are a fifth of what a small prediction costs.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from modelvane_serving.errors import ApiError
from modelvane_serving.formats.encoding import to_json
from modelvane_serving.messages import JSON_TYPE, WHOLE_ANSWER, Response

# All header lines of one request. Proxies stop at 8 to 60 kB.
HEAD_BYTES: Final = 64 * 1024
# What is larger is not copied behind its head.
SMALL_ANSWER: Final = 64 * 1024


class Connection(HttpToolsProtocol):
    """Knows since when it waits for the rest of a request."""

    # When the request that is being received began; None while none is.
    began: float | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.began = self.loop.time()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.began = self.loop.time()
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count what is kept of the head."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            # The parser makes it its own error, and that becomes `send_400_response`.
            raise HeadTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Tell the application how to send a whole answer."""
        super().on_headers_complete()
        self.scope["extensions"] = {WHOLE_ANSWER: {"send": partial(send_whole, self.cycle)}}

    def on_message_complete(self) -> None:
        """End a request."""
        self.began = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        if self._head_bytes > HEAD_BYTES:
            message = f"the header lines may have {HEAD_BYTES} bytes in all"
            self.refuse(ApiError(431, "HeaderTooLarge", message, expected=HEAD_BYTES))
        else:
            self.refuse(ApiError(400, "InvalidHttp", "the request is not valid HTTP/1.1"))

    def refuse(self, error: ApiError) -> None:
        """Answer outside of any request, unless an answer is on its way, and close."""
        if self.transport.is_closing():
            return
        # A cycle is of the request that is being received, not of one before it, if it has its scope.
        answered = self.cycle is not None and self.cycle.response_started
        if not answered or (self.cycle.response_complete and self.cycle.scope is not self.scope):
            body = to_json(error.body())
            own = ((b"content-type", JSON_TYPE), (b"content-length", b"%d" % len(body)), (b"connection", b"close"))
            head = STATUS_LINE[error.status] + write_headers(self.server_state.default_headers) + write_headers(own)
            self.transport.write(head + b"\r\n" + body)
        self.transport.close()

    def check_time(self, now: float, seconds: float) -> bool:
        """Refuse a request whose sender takes too long, and say so."""
        if self.began is None or now - self.began <= seconds:
            return False
        self.began = None
        if self.cycle is None and not self._head_bytes:
            # Not a word yet: there is nobody to answer.
            self.transport.close()
        else:
            self.refuse(ApiError(408, "RequestTimeout", f"the request did not arrive within {seconds:g} s"))
        return True


def send_whole(cycle: RequestResponseCycle, response: Response, *, close: bool) -> bool:
    """Send a whole answer, and leave the cycle as its two messages would. False, and nothing sent, if it needs those.

    The headers are this package's own, so they are known to be valid.
    """
    body = response.body
    if cycle.flow.write_paused or cycle.disconnected or len(body) > SMALL_ANSWER or cycle.scope["method"] == "HEAD":
        return False
    if close:
        cycle.keep_alive = False
    cycle.transport.write(
        b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b"
        % (
            STATUS_LINE[response.status],
            _defaults.write(cycle.default_headers),
            response.content_type,
            len(body),
            write_headers(response.headers) if response.headers else b"",
            b"" if cycle.keep_alive else b"connection: close\r\n",
            body,
        )
    )
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def write_headers(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write header lines."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


class _DefaultHeaders:
    """The lines of every answer. uvicorn makes a new list of them each second, for the date."""

    def __init__(self) -> None:
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._lines = b""

    def write(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, write_headers(headers)
        return self._lines


_defaults = _DefaultHeaders()


class HeadTooLargeError(Exception):
    """Ends the parsing of a request."""
