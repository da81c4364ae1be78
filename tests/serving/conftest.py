"""One server for each kind of model, shared by the whole run: they start side by side and are read only."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import processes
from tests.serving.processes import Server, Start

with warnings.catch_warnings():
    # What MLflow warns of when it is imported is its own; pytest imports this file before any test.
    warnings.simplefilter("ignore")
    from tests.serving import train


# Tests load models from the folders that servers verify: byte code would be a file that was not fetched.
sys.dont_write_bytecode = True


class Fleet:
    """The models, as trained, and their servers."""

    def __init__(self, root: Path) -> None:
        with warnings.catch_warnings():
            # What training libraries warn of is theirs; the program under test runs in processes of its own.
            warnings.simplefilter("ignore")
            self.iris: Any = train.save_sklearn(root / "iris")
            self.tensor: Any = train.save_tensor(root / "tensor")
            self.xgboost: Any = train.save_xgboost(root / "xgboost")
            train.save_workbench(root / "workbench")
            train.save_script(root / "fails_to_load", "fails_to_load")
            train.save_script(root / "fails_to_predict", "fails_to_predict", input_example={"x": 1.0})
            train.save_script(root / "slow_to_load", "slow_to_load")
        self.root = root
        settings = {"MODELVANE_MAX_BODY_BYTES": "100000", "MODELVANE_MODEL_ALIAS": "champion"}
        self.servers = {
            name: processes.start(root / name, **settings) for name in ("iris", "tensor", "xgboost", "workbench")
        }


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    running = Fleet(tmp_path_factory.mktemp("models"))
    try:
        yield running
    finally:
        for server in running.servers.values():
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def iris_server(fleet: Fleet) -> Server:
    return fleet.servers["iris"].wait_ready()


@pytest.fixture(scope="session")
def tensor_server(fleet: Fleet) -> Server:
    return fleet.servers["tensor"].wait_ready()


@pytest.fixture(scope="session")
def xgboost_server(fleet: Fleet) -> Server:
    return fleet.servers["xgboost"].wait_ready()


@pytest.fixture(scope="session")
def workbench(fleet: Fleet) -> Server:
    return fleet.servers["workbench"].wait_ready()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server of the test's own; it is gone after the test."""
    started: list[Server] = []

    def start_server(model_dir: Path, **settings: str) -> Server:
        started.append(processes.start(model_dir, **settings))
        return started[-1]

    yield start_server
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
