"""Watches resources and notes when each change was seen.

Timestamps in Kubernetes' own objects are whole seconds, too coarse to say where five of them went; a watch delivers
each change within milliseconds.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass

from examples.demo.kube import Manifest


@dataclass(frozen=True)
class Seen:
    """A resource as it was when a change to it arrived."""

    at: float
    resource: Manifest


class Watch:
    """Follows one collection of resources in the background until closed."""

    def __init__(self, path: str) -> None:
        """Start; `path` is the collection's in the API, with a query that may name a label or field selector."""
        self._url = path + ("&" if "?" in path else "?") + "watch=true"
        self._seen: list[Seen] = []
        self._closed = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def seen(self) -> list[Seen]:
        """Return all changes up to now, in the order they came."""
        return list(self._seen)

    def latest(self) -> Manifest | None:
        """Return the resource that changed last, as it is now."""
        return self._seen[-1].resource if self._seen else None

    def close(self) -> None:
        """End the watch."""
        self._closed.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        # The API server ends a watch now and then; a new one begins with what is there.
        while not self._closed.is_set():
            command = ["kubectl", "get", "--raw", self._url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                self._process = process
                for line in process.stdout or ():
                    event = json.loads(line)
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        self._seen.append(Seen(time.time(), event["object"]))
            self._closed.wait(0.5)
