"""One HTTP connection: uvicorn's, with limits on how long and how large a request's head may be, and JSON refusals.

What goes wrong before there is a request is answered here, because no application ever sees it. And what most requests
are, a small body for /invocations, goes to the application as a whole and comes back as a whole, beside ASGI, whose
task, scope and messages cost more than a small prediction. Everything else goes uvicorn's way.
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from modelvane_serving.errors import ApiError
from modelvane_serving.exchange import Exchange, write_headers
from modelvane_serving.formats.encoding import to_json
from modelvane_serving.messages import INVOCATIONS, JSON_TYPE

# All header lines of one request. Proxies stop at 8 to 60 kB.
HEAD_BYTES: Final = 64 * 1024
PREDICTIONS: Final = INVOCATIONS.encode()
# Headers that ask for more than an answer to the body as it is.
SPECIAL: Final = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})


class Connection(HttpToolsProtocol):
    """Knows since when it waits for the rest of a request, and which requests need no ASGI."""

    # When the request that is being received began; None while none is.
    began: float | None = None
    _head_bytes = 0
    # Whether `cycle` is of the request that is being received, and not of the one before it.
    _has_cycle = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of an application that does not offer it nothing is small.
        self._answer_at_once: Any = getattr(self.app, "answer_at_once", None)
        self._small_body: int = getattr(self.app, "small_body", -1)

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.began = self.loop.time()

    def on_message_begin(self) -> None:
        """Begin a request."""
        # Of one that came together with another, which may have its answer already.
        self._unset_keepalive_if_required()
        self.began = self.loop.time()
        self._head_bytes = 0
        self._has_cycle = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count what is kept of the head."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            # The parser makes it its own error, and that becomes `send_400_response`.
            raise HeadTooLargeError
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way of the request."""
        self._has_cycle = True
        if self.url == PREDICTIONS and self._is_small_prediction(dict(self.headers)):
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        cycle: Any = self.cycle
        if type(cycle) is Exchange:
            cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self.began = None
        cycle: Any = self.cycle
        if type(cycle) is Exchange:
            self._answer_at_once(cycle.body, cycle.send, cycle.started)
        else:
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
        cycle = self.cycle
        if cycle is None or not cycle.response_started or (cycle.response_complete and not self._has_cycle):
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

    def _is_small_prediction(self, headers: dict[bytes, bytes]) -> bool:
        """Tell whether the request can be answered at once, and if so begin to receive it."""
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > self._small_body or not SPECIAL.isdisjoint(headers):
            return False
        if headers.get(b"content-type") != JSON_TYPE or b"arrow" in headers.get(b"accept", b""):
            return False
        if (self.cycle is not None and not self.cycle.response_complete) or self.flow.write_paused:
            # It has to wait for the answer before it to be written.
            return False
        if self.parser.get_method() != b"POST":
            return False
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        self.cycle = Exchange(self, keep_alive=keep_alive)  # type: ignore[assignment]
        return True


class HeadTooLargeError(Exception):
    """Ends the parsing of a request."""
