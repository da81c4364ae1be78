"""One HTTP connection: uvicorn's, with limits on how long and how large a request's head may be, and JSON refusals.

What goes wrong before there is a request is answered here, because no application ever sees it.
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelvane_serving.encoding import to_json
from modelvane_serving.errors import ApiError

# All header lines of one request. Proxies stop at 8 to 60 kB.
HEAD_BYTES: Final = 64 * 1024
REASONS: Final = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


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
            # The parser passes it on to `data_received`, which answers with what is set here.
            raise HeadTooLargeError
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """End a request."""
        self.began = None
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            super().data_received(data)
        except HeadTooLargeError:
            message = f"the header lines may have {HEAD_BYTES} bytes in all"
            self.refuse(ApiError(431, "HeaderTooLarge", message, expected=HEAD_BYTES))

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
            lines = [b"HTTP/1.1 %d %s" % (error.status, REASONS[error.status])]
            lines += [b"%s: %s" % header for header in self.server_state.default_headers]
            lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"]
            self.transport.write(b"\r\n".join([*lines, b"", body]))
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


class HeadTooLargeError(Exception):
    """Ends the parsing of a request."""
