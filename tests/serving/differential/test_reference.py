"""The reference is what `mlflow models serve` is: the same answers to the same requests, from the command itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.serving import processes
from tests.serving.differential.conftest import Runtimes, wait_for
from tests.serving.differential.corpus import CORPUS
from tests.serving.differential.generated import requests_of
from tests.serving.differential.test_corpus import ask

# Of all kinds: every n-th of the model with the most column types.
MODEL = "scalars"
EVERY = 4


def test_answers_are_those_of_the_command(runtimes: Runtimes, reference: int, root: Path) -> None:
    artifacts = runtimes.save(MODEL) / "artifacts"
    port = processes.free_port()
    # It starts uvicorn by its name.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(artifacts), "-p", str(port)]
    with (root / "command.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{reference}/{MODEL}/ping")
        wait_for(f"http://127.0.0.1:{port}/ping")
        requests = requests_of(CORPUS[MODEL])[::EVERY]
        for request, theirs, ours in zip(
            requests, ask(port, "", requests), ask(reference, f"/{MODEL}", requests), strict=True
        ):
            assert (theirs.status, theirs.content_type) == (ours.status, ours.content_type), request
            # A refusal has a traceback, with the frames of the server in it.
            assert theirs.status != 200 or theirs.body == ours.body, request
    finally:
        # The command and the uvicorn that it started.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
