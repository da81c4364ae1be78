"""One process with MLflow's own server for all models, and ours one after the other, the next started in advance."""

import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.serving import processes
from tests.serving.processes import Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tests.serving.differential.corpus import CORPUS

# Two cores start three servers side by side, one of which may compile its model.
START_SECONDS = 300
# What is started before it is asked for.
AHEAD = 1


class Runtimes:
    """Ours: trained and started when first asked for, in the order of the run."""

    def __init__(self, root: Path, names: list[str]) -> None:
        self._root = root
        self._names = names
        self._started: dict[str, Server] = {}

    def take(self, name: str) -> Server:
        """Return a server that is ready, and see that the next is on its way."""
        place = self._names.index(name)
        for following in self._names[place : place + 1 + AHEAD]:
            self.start(following)
        server = self._started[name]
        wait_for(f"{server.url}/v2/health/ready", server.process)
        return server

    def start(self, name: str) -> None:
        if name not in self._started:
            self.save(name)
            self._started[name] = processes.start(self._root / name)

    def save(self, name: str) -> Path:
        model_dir = self._root / name
        if not model_dir.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                CORPUS[name].save(model_dir)
        return model_dir

    def end(self, name: str) -> None:
        server = self._started[name]
        server.process.kill()
        server.process.wait()

    def close(self) -> None:
        for name in self._started:
            self.end(name)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="session")
def reference(root: Path) -> Iterator[int]:
    """Start MLflow's server and return its port; models are found below the root when they are asked for."""
    port = processes.free_port()
    program = Path(__file__).with_name("reference.py")
    with (root / "reference.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(program), str(root), str(port)], stdout=log, stderr=log)
    yield port
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def runtimes(request: pytest.FixtureRequest, root: Path, reference: int) -> Iterator[Runtimes]:
    chosen = (item for item in request.session.items if item.name.startswith("test_answers_agree["))
    running = Runtimes(root, [item.name.partition("[")[2].removesuffix("]") for item in chosen])
    yield running
    running.close()


@pytest.fixture(scope="session")
def applied() -> Counter[str]:
    """Count how often each rule allowed a difference."""
    return Counter()


def wait_for(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process is None or process.poll() is None, f"what answers {url} has ended"
        try:
            if requests.get(url, timeout=60).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer in {START_SECONDS} s")
