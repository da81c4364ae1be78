"""One HTTP connection: uvicorn's, with limits on how long and how large a request's head may be, and JSON refusals.

What goes wrong before there is a request is answered here, because no application ever sees it. And what most requests
are, a prediction whose body is quick to read, goes to the application as a whole and comes back as a whole, beside
ASGI, whose task, scope and messages cost more than a small prediction. A client that keeps its connection sends the
same head again and again: one that was parsed once is known by its bytes. Everything else goes uvicorn's way.
"""

from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from modelvane_serving.errors import ApiError
from modelvane_serving.exchange import Exchange, write_headers
from modelvane_serving.formats.encoding import to_json
from modelvane_serving.messages import JSON_TYPE

# All header lines of one request. Proxies stop at 8 to 60 kB.
HEAD_BYTES: Final = 64 * 1024
END_OF_HEAD: Final = b"\r\n\r\n"
# Of one connection. They differ by the length of the body; where a proxy numbers its requests none comes again.
KNOWN_HEADS: Final = 64
# Headers that ask for more than an answer to the body as it is.
SPECIAL: Final = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})


class Head(NamedTuple):
    """A head whose request is answered beside ASGI: what was found in it."""

    asked: Any
    length: int
    keep_alive: bool


class Connection(HttpToolsProtocol):
    """Knows since when it waits for the rest of a request, and which requests need no ASGI."""

    # When the request that is being received began; None while none is.
    began: float | None = None
    # Since when nothing is asked, as far as anybody looked.
    idle: float | None = None
    _head_bytes = 0
    # Whether `cycle` is of the request that is being received, and not of the one before it.
    _has_cycle = False
    # Whether the parser has seen whole requests only.
    _between = True
    # The bytes that the parser's next head will be.
    _head = b""
    # How much of a body is still to come past the parser.
    _missing = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app
        # Of an application that does not offer it nothing is recognized.
        self._recognize: Any = getattr(app, "recognize", None)
        self._answer_at_once: Any = getattr(app, "answer_at_once", None)
        self._known: dict[bytes, Head] = {}

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.began = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what came: by the parser, or past it if it knows the head."""
        if self._missing:
            self._take(data)
            return
        if self._between and self._is_free():
            end = data.find(END_OF_HEAD) + len(END_OF_HEAD)
            head = self._known.get(data[:end])
            if head is not None and len(data) - end <= head.length:
                self._begin(head)
                self._missing = head.length
                self._take(data[end:])
                return
            self._head = data[:end]
        super().data_received(data)
        self._head = b""

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.began = self.loop.time()
        self._head_bytes = 0
        self._has_cycle = self._between = False
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
        if self._is_free() and (head := self._read_head(dict(self.headers))) is not None:
            self._remember(head)
            self._begin(head)
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
            cycle.pieces.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self.began = None
        self._between = True
        cycle: Any = self.cycle
        if type(cycle) is Exchange:
            self._answer(cycle)
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer: as uvicorn does, but for its timer, which each request would set and take back."""
        self.server_state.total_requests += 1
        self.idle = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

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

    def check_time(self, now: float, receive_seconds: float, idle_seconds: float) -> bool:
        """Refuse a request whose sender takes too long, and say so; close a connection that nobody uses."""
        if self.began is None:
            self._close_unused(now, idle_seconds)
            return False
        if now - self.began <= receive_seconds:
            return False
        self.began = None
        if self.cycle is None and not self._head_bytes:
            # Not a word yet: there is nobody to answer.
            self.transport.close()
        else:
            self.refuse(ApiError(408, "RequestTimeout", f"the request did not arrive within {receive_seconds:g} s"))
        return True

    def _close_unused(self, now: float, seconds: float) -> None:
        if not self._is_free():
            self.idle = None
        elif self.idle is None:
            self.idle = now
        elif now - self.idle > seconds:
            self.transport.close()

    def _is_free(self) -> bool:
        """Tell whether a request could be answered now, and has no answer before it to wait for."""
        cycle = self.cycle
        return (cycle is None or cycle.response_complete) and not self.flow.write_paused

    def _read_head(self, headers: dict[bytes, bytes]) -> Head | None:
        """Find out whether the request can be answered beside ASGI."""
        length = headers.get(b"content-length", b"")
        if self._recognize is None or not length.isdigit() or not SPECIAL.isdisjoint(headers):
            return None
        asked = self._recognize(self.parser.get_method(), self.url, headers, int(length))
        if asked is None:
            return None
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        return Head(asked, int(length), keep_alive)

    def _remember(self, head: Head) -> None:
        """Keep what a head was found to mean, if these are surely its bytes: the parser is more patient with blanks."""
        data, self._head = self._head, b""
        if len(self._known) >= KNOWN_HEADS or not head.length:
            return
        if data.startswith(b"POST ") and data.count(b"\n") == data.count(b"\r\n"):
            self._known[data] = head

    def _begin(self, head: Head) -> None:
        self.cycle = Exchange(self, head.asked, keep_alive=head.keep_alive)  # type: ignore[assignment]

    def _answer(self, exchange: Exchange) -> None:
        self._answer_at_once(exchange.asked, exchange.body(), exchange.send, exchange.started)

    def _take(self, data: bytes) -> None:
        """Keep a piece of a body that comes past the parser, and answer when that was the last."""
        cycle: Any = self.cycle
        rest = data[self._missing :]
        cycle.pieces.append(data[: self._missing] if rest else data)
        self._missing -= len(cycle.pieces[-1])
        if self._missing:
            self.began = self.began or self.loop.time()
            return
        self.began = None
        self._answer(cycle)
        if rest and not self.transport.is_closing():
            self.data_received(rest)


class HeadTooLargeError(Exception):
    """Ends the parsing of a request."""
