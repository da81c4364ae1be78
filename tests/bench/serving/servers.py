"""A server that runs, is held still while others are measured, and is asked in its ways."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.serving.dialects import Dialect
from tests.bench.serving.figures import Start
from tests.bench.serving.load import HOST, Question, UnfitError, ask
from tests.bench.serving.peers import Place, Pythons, Way, start
from tests.bench.serving.processes import Tree
from tests.bench.serving.subject import Subject
from tests.serving.processes import free_port

START_SECONDS = 120
# Polled often enough that it adds little to a start of half a second.
POLL_SECONDS = 0.005


@dataclass
class Running:
    """A server for one model."""

    name: str
    port: int
    tree: Tree
    requests: dict[tuple[str, int], Path] = field(default_factory=dict)
    """The checked requests, by way and rows."""

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for a while."""
        self.tree.let_go()
        try:
            yield
        finally:
            self.tree.hold()

    def engine(self) -> str:
        """Ask the runtime what it runs the model with."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", "/model-info")
            answer = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return "unknown"
        finally:
            connection.close()
        engine = answer.get("engine", "unknown")
        return engine if isinstance(engine, str) else json.dumps(engine)


@dataclass(frozen=True)
class Starter:
    """Starts servers for a model and times their first correct answer."""

    subject: Subject
    pythons: Pythons
    scratch: Path
    core: int
    question: Question

    def start(self, way: Way, number: int) -> tuple[Running, Start]:
        """Start the server of a way; the same folder each time, so that what it caches is there the next time."""
        port = free_port()
        folder = self.scratch / way.server.replace(" ", "-")
        dialect = way.dialect(self.subject.name)
        expected = self.question.expected
        if way.server.startswith("echo"):
            expected = self.question.frame.to_numpy().tolist()
        begun = time.monotonic()
        tree = start(way.server, self.subject, self.pythons, Place(port, folder, self.core))
        running = Running(way.server, port, tree)
        try:
            self._await_answer(running, dialect, Question(self.question.frame, expected), begun)
        except BaseException:
            tree.end()
            raise
        return running, Start(way.server, self.subject.name, number, time.monotonic() - begun)

    def _await_answer(self, running: Running, dialect: Dialect, question: Question, begun: float) -> None:
        request = dialect.encode(question.frame)
        problem = "it took no connection"
        while time.monotonic() - begun < START_SECONDS:
            if running.tree.died():
                raise UnfitError(f"{running.name} ended: {running.tree.last_words()[-300:]}")
            connection = http.client.HTTPConnection(HOST, running.port, timeout=30)
            try:
                ask(connection, dialect, request, question.expected)
                return
            except UnfitError as error:
                problem = str(error)
                # Some listen before their model is loaded, and say so in one way or another.
                if not problem.startswith(("HTTP 4", "HTTP 5")) or time.monotonic() - begun > START_SECONDS / 4:
                    raise
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(POLL_SECONDS)
        raise UnfitError(f"{running.name} has no answer in {START_SECONDS} s: {problem}")
