"""A small request and its answer beside ASGI: what uvicorn's cycle is for all others, without a task and messages."""

import time
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from modelvane_serving.messages import Response

# What is larger is not copied behind its head.
SMALL_ANSWER: Final = 64 * 1024


class Exchange:
    """Has the attributes by which uvicorn's protocol deals with its cycles."""

    __slots__ = ("_connection", "asked", "disconnected", "keep_alive", "pieces", "response_complete", "started")

    def __init__(self, connection: Any, asked: Any, *, keep_alive: bool) -> None:
        self._connection = connection
        self.started = time.perf_counter()
        self.asked = asked
        self.keep_alive = keep_alive
        self.pieces: list[bytes] = []
        self.disconnected = False
        self.response_complete = False

    def body(self) -> bytes:
        """Put the body together."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    @property
    def response_started(self) -> bool:
        """Whether a part of the answer is on its way: it goes as a whole."""
        return self.response_complete

    @property
    def message_event(self) -> "Exchange":
        """Stand for the event that wakes who waits for a message."""
        return self

    def set(self) -> None:
        """Wake nobody: nobody waits."""

    def send(self, response: Response, close: bool) -> None:
        """Send the answer, unless nobody is there to read it."""
        connection = self._connection
        if self.disconnected:
            return
        self.keep_alive = self.keep_alive and not close
        head = b"%bcontent-length: %d\r\n%b%b\r\n" % (
            _heads.begin(response.status, response.content_type, connection.server_state.default_headers),
            len(response.body),
            write_headers(response.headers) if response.headers else b"",
            b"" if self.keep_alive else b"connection: close\r\n",
        )
        if len(response.body) > SMALL_ANSWER:
            connection.transport.write(head)
            connection.transport.write(response.body)
        else:
            connection.transport.write(head + response.body)
        self.response_complete = True
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()


def write_headers(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write header lines. They are this package's own, so they are known to be valid."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


class _Heads:
    """What answers begin with. The lines that all have uvicorn makes anew each second, for the date."""

    def __init__(self) -> None:
        self._everywhere: Sequence[tuple[bytes, bytes]] = ()
        self._beginnings: dict[tuple[int, bytes], bytes] = {}

    def begin(self, status: int, content_type: bytes, everywhere: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the first lines: of a status, of every answer, and of a content type."""
        if everywhere is not self._everywhere:
            self._everywhere = everywhere
            self._beginnings.clear()
        beginning = self._beginnings.get((status, content_type))
        if beginning is None:
            own = ((b"content-type", content_type),)
            beginning = STATUS_LINE[status] + write_headers(everywhere) + write_headers(own)
            self._beginnings[status, content_type] = beginning
        return beginning


_heads = _Heads()
