"""What keeps a server from starting, and how it says so; and that nothing listens before it is verified."""

import json
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from modelvane_serving.manifest import ARTIFACTS_DIR, MANIFEST_FILE

from tests.serving import train
from tests.serving.conftest import Fleet
from tests.serving.processes import Server, Start


@pytest.fixture
def copy(fleet: Fleet, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a model, to spoil it."""

    def copy_model(name: str) -> Path:
        return Path(shutil.copytree(fleet.root / name, tmp_path / name))

    return copy_model


def test_a_model_that_does_not_load_says_which_exception(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "fails_to_load")
    failure = server.failure()
    assert failure == {
        "reason": "ModelLoadFailed",
        "message": "the model did not load: ValueError: weights are missing",
    }
    # The traceback is for whoever mends the model: once, on the log.
    assert server.log.count("Traceback (most recent call last)") == 1
    assert "load_context" in server.log


@pytest.mark.parametrize("runtime", ["Modelvane", "MLflow"])
def test_a_model_leaves_nothing_among_its_files_that_its_next_start_would_refuse(
    copy: Callable[[str], Path], start: Start, runtime: str
) -> None:
    model_dir = copy("workbench")
    for _ in range(2):
        # Python would write the byte code of the model's own code beside it.
        server = start(model_dir, MODELVANE_RUNTIME=runtime).wait_ready()
        assert server.stop() == 0


def test_a_model_that_fails_its_input_example_does_not_serve(fleet: Fleet, start: Start) -> None:
    failure = start(fleet.root / "fails_to_predict").failure()
    assert failure["reason"] == "InputExampleFailed"
    assert failure["message"] == "the model failed on its own input example: KeyError: 'no such feature'"


def test_verification_can_be_switched_off(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "fails_to_predict", MODELVANE_VERIFY_INPUT_EXAMPLE="false").wait_ready()
    assert server.post("/invocations", {"inputs": {"x": [1.0]}}).status_code == 500
    assert server.stop() == 0


def test_an_input_example_that_the_signature_refuses_does_not_serve(copy: Callable[[str], Path], start: Start) -> None:
    model_dir = copy("workbench")
    (model_dir / ARTIFACTS_DIR / "serving_input_example.json").write_text('{"inputs": {"y": [1.0]}}')
    failure = start(train.finish(model_dir)).failure()
    assert failure["reason"] == "InputExampleFailed"
    assert "the model needs 'x'" in failure["message"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda artifacts: (artifacts / "model.skops").write_bytes(b"other"), "file 'model.skops' has sha256"),
        (lambda artifacts: (artifacts / "model.skops").unlink(), "file 'model.skops' was fetched and is gone"),
        (lambda artifacts: (artifacts / "new.py").touch(), "file 'new.py' was not fetched and is there"),
        (lambda artifacts: (artifacts.parent / MANIFEST_FILE).unlink(), "manifest.json cannot be read"),
        (
            lambda artifacts: (artifacts.parent / MANIFEST_FILE).write_text('{"digest": "sha256:0", "files": {}}'),
            "manifest.json says sha256:0",
        ),
    ],
    ids=["changed", "gone", "added", "no manifest", "wrong digest"],
)
def test_files_other_than_those_fetched_are_not_loaded(
    copy: Callable[[str], Path], start: Start, spoil: Callable[[Path], object], words: str
) -> None:
    model_dir = copy("iris")
    spoil(model_dir / ARTIFACTS_DIR)
    failure = start(model_dir).failure()
    assert failure["reason"] == "DigestMismatch"
    assert words in failure["message"]


def test_a_wrong_setting_ends_the_program_by_name(fleet: Fleet, start: Start) -> None:
    failure = start(fleet.root / "iris", MODELVANE_PORT="http").failure()
    assert failure == {"reason": "InvalidSettings", "message": "MODELVANE_PORT must be a whole number, got 'http'"}


def test_a_port_in_use_is_named(fleet: Fleet, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failure = start(fleet.root / "iris", MODELVANE_PORT=str(port)).failure()
    assert failure["reason"] == "InvalidSettings"
    assert f"port {port} cannot be bound" in failure["message"]


def test_nothing_listens_while_the_model_loads_and_sigterm_ends_it(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "slow_to_load")
    deadline = time.monotonic() + 30
    while "loading" not in server.log:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(2) == 143


def test_every_line_of_the_log_is_json(workbench: Server) -> None:
    lines = workbench.log.splitlines()
    assert "serving" in [json.loads(line)["message"] for line in lines]
