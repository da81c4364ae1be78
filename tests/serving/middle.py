"""A proxy before a real server that counts what passes, and does to it what networks and stores do."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True)
class Seen:
    """One request, and how much of the answer's body was passed on."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    sent: int


@dataclass
class Middle:
    """What was seen, and what is done to answers whose path has one of these ends."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    # The connection breaks after so many bytes of the body: one number for each answer, in turn.
    cut: dict[str, list[int]] = field(default_factory=dict)
    # Called once when an answer was cut.
    after_cut: Callable[[], object] | None = None
    ignore_ranges: bool = False
    # Changes a whole body before it is passed on, with a Content-Length that fits.
    rewrite: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)

    def of(self, end: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path.partition("?")[0].endswith(end)]

    def artifacts(self) -> list[Seen]:
        """Return the requests for files and lists of files."""
        return [seen for seen in self.seen if "/mlflow-artifacts/" in seen.path]

    def take(self, faults: dict[str, Any], path: str) -> Any:
        return next((fault for end, fault in faults.items() if path.partition("?")[0].endswith(end)), None)


class _Handler(BaseHTTPRequestHandler):
    middle: Middle
    upstream: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        if self.middle.ignore_ranges:
            headers.pop("Range", None)
            headers.pop("If-Match", None)
        upstream = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body or None, headers)
            with upstream.getresponse() as response:
                sent = self._answer(response)
            seen = Seen(self.command, self.path, dict(self.headers.items()), response.status, sent)
            self.middle.seen.append(seen)
        except ConnectionError:
            self.close_connection = True
        finally:
            upstream.close()

    def _answer(self, response: http.client.HTTPResponse) -> int:
        length = response.headers.get("Content-Length")
        rewrite, cuts = self.middle.take(self.middle.rewrite, self.path), self.middle.take(self.middle.cut, self.path)
        content = None
        if rewrite is not None or length is None:
            content = response.read()
            content = rewrite(content) if rewrite is not None else content
            length = str(len(content))
        self.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        left = cuts.pop(0) if cuts else None
        sent = 0
        while self.command != "HEAD":
            chunk = (
                content if content is not None else response.read(65536 if left is None else min(left - sent, 65536))
            )
            content = b"" if content is not None else None
            if not chunk:
                break
            self.wfile.write(chunk)
            sent += len(chunk)
        if left is not None:
            self.close_connection = True
            if self.middle.after_cut is not None:
                self.middle.after_cut()
        return sent

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Take a client that goes away for none."""


@contextmanager
def standing_before(url: str) -> Iterator[Middle]:
    """Pass on everything to the server at this address."""
    middle = Middle()
    handler = type("Handler", (_Handler,), {"middle": middle, "upstream": urlsplit(url).netloc})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    middle.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield middle
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
