"""Promotions in a real registry: what is written, what is refused, and what the exit code says."""

import json
import subprocess
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.models import Models
from modelvane_cli.pointer import Pointer
from modelvane_cli.promotion import Promotion, promote, read_condition

from tests.cli.conftest import Run

SOURCE = "s3://models/m"


@dataclass(frozen=True)
class Registered:
    """A registered model whose versions have metrics."""

    url: str
    name: str
    client: MlflowClient

    def add(self, **metrics: float) -> str:
        run = self.client.create_run("0")
        for name, value in metrics.items():
            self.client.log_metric(run.info.run_id, name, value)
        made = self.client.create_model_version(self.name, SOURCE, run.info.run_id, await_creation_for=0)
        return str(made.version)

    def add_without_run(self) -> str:
        return str(self.client.create_model_version(self.name, SOURCE, await_creation_for=0).version)

    def promote(self, version: str, condition: str | None = None, alias: str | None = None) -> Promotion:
        pointer = Pointer(self.name, alias=alias) if alias else Pointer(self.name, stage="Production")
        return promote(Models(self.url), pointer, version, condition, read_condition(condition))

    @property
    def stages(self) -> dict[str, str]:
        found = self.client.search_model_versions(f"name='{self.name}'")
        return {str(one.version): str(one.current_stage) for one in found}

    @property
    def aliases(self) -> dict[str, str]:
        return {alias: str(version) for alias, version in self.client.get_registered_model(self.name).aliases.items()}


@pytest.fixture
def model(mlflow_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registered]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Stages are old, and what this is about.
        client = MlflowClient(mlflow_url, mlflow_url)
        name = f"iris-{uuid.uuid4().hex[:6]}"
        client.create_registered_model(name)
        yield Registered(mlflow_url, name, client)


def test_a_promotion_by_stage_archives_what_was_there_and_is_the_same_twice(model: Registered) -> None:
    first, second = model.add(), model.add()
    assert model.promote(first).move.previous is None
    done = model.promote(second)
    assert (done.move.previous, done.move.is_needed) == (first, True)
    assert model.stages == {first: "Archived", second: "Production"}
    assert not model.promote(second).move.is_needed
    assert model.stages == {first: "Archived", second: "Production"}


def test_a_step_back_takes_the_higher_version_out_of_the_stage(model: Registered) -> None:
    first, second = model.add(), model.add()
    model.promote(second)
    model.promote(first)
    assert model.stages == {first: "Production", second: "Archived"}


def test_a_promotion_by_alias_moves_nothing_else(model: Registered) -> None:
    first, second = model.add(), model.add()
    model.promote(first)
    model.promote(first, alias="champion")
    model.promote(second, alias="champion")
    assert (model.aliases, model.stages) == ({"champion": second}, {first: "Production", second: "None"})


def test_a_condition_compares_with_what_the_pointer_names_now(model: Registered) -> None:
    good, better, worse = model.add(f1=0.91, loss=0.2), model.add(f1=0.93, loss=0.19), model.add(f1=0.92, loss=0.3)
    model.promote(good)
    assert model.promote(better, "f1 > production.f1 and loss <= production.loss").is_allowed
    refused = model.promote(worse, "f1 > production.f1")
    assert not refused.is_allowed
    assert model.stages[better] == "Production"
    assert refused.lines() == [
        "no   f1 (0.92) > production.f1 (0.93)",
        f"{model.name}: the condition is not met, stage Production stays at version {better}.",
    ]
    assert refused.document()["changed"] is False


def test_a_condition_may_name_another_pointer_of_the_model(model: Registered) -> None:
    champion, challenger = model.add(f1=0.9), model.add(f1=0.95)
    model.promote(champion, alias="champion")
    model.promote(challenger, "f1 > champion.f1", alias="challenger")
    assert model.aliases == {"champion": champion, "challenger": challenger}


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (
            "f2 > 0.5",
            r"the run of version \d of .* has no metric f2 with a finite value; it has: f1\. Nothing was written",
        ),
        ("broken > 0.5", r"has no metric broken with a finite value"),
        ("f1 > production.f1", r"stage Production of .* names no version yet\. Promote the first version without --if"),
        ("f1 > eval.f1", r'eval is neither a stage .* nor an alias .* write it in quotes: "eval\.f1"'),
        ("f1 > 2 or f2 > 1", r"has no metric f2"),
        ("f1 > 0 or f2 > 1", r"has no metric f2"),
    ],
)
def test_a_metric_that_is_missing_is_refused_whatever_the_rest_says(
    model: Registered, condition: str, said: str
) -> None:
    version = model.add(f1=0.9, broken=float("nan"))
    with pytest.raises(StopError, match=said) as raised:
        model.promote(version, condition)
    assert raised.value.code == Exit.NOT_FOUND
    assert model.stages == {version: "None"}


def test_a_version_without_a_run_has_no_metrics(model: Registered) -> None:
    version = model.add_without_run()
    with pytest.raises(StopError, match="was registered without a run"):
        model.promote(version, "f1 > 0")
    assert model.promote(version).is_allowed


def test_what_the_registry_does_not_have_is_not_found(model: Registered) -> None:
    with pytest.raises(StopError, match="has no version 7 of iris-") as raised:
        model.promote("7")
    assert raised.value.code == Exit.NOT_FOUND
    with pytest.raises(StopError, match="has no registered model nobody"):
        Models(model.url).held("nobody")


def test_the_program_says_in_its_exit_code_and_in_json_what_it_did(model: Registered, run: Run) -> None:
    good, worse = model.add(f1=0.9), model.add(f1=0.8)
    done = run("promote", model.name, "--version", good, "-o", "json", MLFLOW_TRACKING_URI=model.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "model": model.name,
        "pointer": f"models:/{model.name}/Production",
        "version": good,
        "previous": None,
        "changed": True,
        "registry": model.url,
    }
    refused = run(
        "promote",
        model.name,
        "--version",
        worse,
        "--if",
        "f1 >= production.f1",
        "-o",
        "json",
        "--registry-uri",
        model.url,
    )
    assert refused.returncode == Exit.NOT_MET
    compared = {"text": "f1 >= production.f1", "left": 0.8, "right": 0.9, "met": False}
    condition = {"text": "f1 >= production.f1", "met": False, "comparisons": [compared]}
    assert json.loads(refused.stdout)["condition"] == condition
    assert model.stages == {good: "Production", worse: "None"}


def test_a_condition_that_is_not_met_is_told_to_whoever_reads_only_the_code(model: Registered) -> None:
    version, program = model.add(f1=0.8), Path(sys.executable).with_name("modelvane")
    for form in ("text", "json"):  # One writes at the end, the other at once.
        command = (
            f"{program} promote {model.name} --version {version} --if 'f1 > 1' -o {form} --registry-uri {model.url}"
        )
        ended = subprocess.run(["bash", "-c", f"set -o pipefail; {command} | true"], capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (Exit.NOT_MET, b"")


class TooMany(BaseHTTPRequestHandler):
    """A registry that has had enough."""

    def do_GET(self) -> None:
        self.send_response(429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("retries", ["0", "1"])
def test_a_registry_that_is_asked_too_often_is_a_registry(retries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", retries)
    with ThreadingHTTPServer(("127.0.0.1", 0), TooMany) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(StopError, match="it answers 429, which means too many requests") as raised:
            Models(f"http://127.0.0.1:{server.server_port}").held("iris")
        server.shutdown()
    assert raised.value.code == Exit.UNREACHABLE


def test_a_registry_that_cannot_be_used_is_told_in_one_sentence(run: Run) -> None:
    ended = run("promote", "iris", "--version", "1", "--registry-uri", "http://user:secret@127.0.0.1:9")
    assert ended.returncode == Exit.UNREACHABLE
    assert ended.stderr == (
        "Error: The registry at http://127.0.0.1:9 cannot be used: it refuses connections: it is down, or the port is "
        "wrong.\n"
    )


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("http://no-such-host.invalid", Exit.UNREACHABLE, "its host is not known here"),
        ("{server}/no/such/path", Exit.UNREACHABLE, "what answers there is no MLflow registry"),
        ("nonsense://x", Exit.USAGE, "nonsense://x is no address of an MLflow registry"),
        (
            "mlflow:5000",
            Exit.USAGE,
            "^mlflow:5000 is no address of an MLflow registry: it lacks a scheme or a host. Write one",
        ),
        ("./mlruns", Exit.USAGE, r"^\./mlruns is no address of an MLflow registry: it lacks a scheme or a host"),
        ("databricks", Exit.UNREACHABLE, "The registry at databricks cannot be used"),
    ],
)
def test_each_way_of_not_being_a_registry_has_its_words(model: Registered, url: str, code: Exit, said: str) -> None:
    with pytest.raises(StopError, match=said) as raised:
        Models(url.format(server=model.url)).held("iris")
    assert raised.value.code == code
