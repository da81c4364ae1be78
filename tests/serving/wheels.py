"""Real wheels of a few lines, and indexes that have them: a directory, and a server that may ask who is there."""

import base64
import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(folder: Path, name: str, version: str, *, requires: Sequence[str] = (), source: str = "") -> Path:
    """Write a wheel of one module with a `__version__`."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    files = {
        f"{module}.py": f"__version__ = {version!r}\n{source}",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": WHEEL,
    }
    rows = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel


def _digest(content: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


class _Index(BaseHTTPRequestHandler):
    """The simple index of PEP 503, over the wheels of a directory."""

    folder: ClassVar[Path]
    login: ClassVar[str | None]
    status: ClassVar[int]
    asked: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        expected = None if self.login is None else "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.status != 200:
            self._answer(self.status, b"")
        elif expected is not None and self.headers["Authorization"] != expected:
            self._answer(401, b"")
        elif self.path.startswith("/simple/"):
            module = self.path.removeprefix("/simple/").strip("/").replace("-", "_")
            names = sorted(wheel.name for wheel in self.folder.glob(f"{module}-*.whl"))
            links = "".join(f'<a href="/files/{name}">{name}</a>\n' for name in names)
            self._answer(200 if names else 404, f"<!DOCTYPE html><html><body>{links}</body></html>".encode())
        else:
            self._answer(200, (self.folder / Path(self.path).name).read_bytes())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="wheels"')
        self.send_header("Content-Type", "text/html" if body.startswith(b"<!") else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@contextmanager
def simple_index(folder: Path, *, login: str | None = None, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Serve the wheels; yield the address, without a login, and the list of what is asked for."""
    asked: list[str] = []
    handler = type("Index", (_Index,), {"folder": folder, "login": login, "status": status, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/simple", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
