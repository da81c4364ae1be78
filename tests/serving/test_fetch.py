"""`fetch` against a real MLflow server: what it downloads, and how it tells apart what can be wrong."""

import json
import socket
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow.sklearn
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from modelvane_serving.manifest import ARTIFACTS_DIR, read_tree, verify_manifest
from sklearn.base import clone

from tests.serving import train
from tests.serving.conftest import Fleet
from tests.serving.fetching import Fetched, run_fetch
from tests.serving.processes import Start, free_port
from tests.serving.registry import lying_registry, mlflow_server


@dataclass
class Registry:
    """The server, and what was registered on it as versions of `iris`."""

    url: str
    run_id: str
    logged: str
    copied: str
    renamed: str
    without_files: str
    without_mlmodel: str


def register(url: str, fleet: Fleet) -> Registry:
    """Register a model as MLflow 3 does, as MLflow 2 did, and in two ways that cannot be served."""
    client = MlflowClient(url)
    mlflow.set_tracking_uri(url)
    features, target = train.iris()
    with mlflow.start_run() as run:
        logged = mlflow.sklearn.log_model(
            fleet.iris,
            name="model",
            signature=infer_signature(features, fleet.iris.predict(features)),
            input_example=features.head(3),
            pip_requirements=[],
            registered_model_name="iris",
        )
        # Trained anew on a table that calls a column otherwise.
        features = features.rename(columns={"sepal_length": "sepal"})
        renamed = mlflow.sklearn.log_model(
            clone(fleet.iris).fit(features, target),
            name="model",
            signature=infer_signature(features, target),
            pip_requirements=[],
            registered_model_name="iris",
        )
    run_id = run.info.run_id
    client.log_artifacts(run_id, str(fleet.root / "iris" / ARTIFACTS_DIR), "copied")
    client.log_text(run_id, "hello", "text/readme.txt")

    def version(folder: str) -> str:
        source = f"{run.info.artifact_uri}/{folder}"
        return str(client.create_model_version("iris", source, run_id=run_id).version)

    return Registry(
        url=url,
        run_id=run_id,
        logged=str(logged.registered_model_version),
        copied=version("copied"),
        renamed=str(renamed.registered_model_version),
        without_files=version("nothing"),
        without_mlmodel=version("text"),
    )


@pytest.fixture(scope="module")
def registry(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with mlflow_server(tmp_path_factory.mktemp("registry")) as url, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield register(url, fleet)


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., Fetched]:
    """Run `modelvane-serving fetch` into a directory of the test's."""

    def run(url: str, version: str, **extra: str) -> Fetched:
        return run_fetch(tmp_path, url, "iris", version, **extra)

    return run


def test_a_logged_model_is_fetched_described_and_served(
    fleet: Fleet, registry: Registry, fetch: Callable[..., Fetched], start: Start
) -> None:
    fetched = fetch(registry.url, registry.logged)
    digest = json.loads((fetched.model_dir / "manifest.json").read_text())["digest"]
    assert (fetched.code, fetched.termination) == (0, {"digest": digest}), fetched.log
    facts = fetched.facts
    assert next(column["name"] for column in facts.pop("signature")["inputs"]) == "sepal_length"
    assert facts.pop("source").startswith("models:/m-")
    assert facts.pop("environment")["mode"] == "Image"
    assert facts == {
        "model_name": "iris",
        "model_version": registry.logged,
        "run_id": registry.run_id,
        "model_uri": f"models:/iris/{registry.logged}",
        "flavors": ["python_function", "sklearn"],
        "has_input_example": True,
    }
    server = start(fetched.model_dir, MODELVANE_MODEL_VERSION=registry.logged).wait_ready()
    features, _ = train.iris()
    records = features.to_dict(orient="records")
    assert server.predict(dataframe_records=records) == fleet.iris.predict(features).tolist()
    info = server.get("/model-info").json()
    assert info["digest"] == verify_manifest(fetched.model_dir)
    assert (info["run_id"], info["flavor"]) == (registry.run_id, "sklearn")


def test_artifacts_of_a_run_arrive_byte_for_byte(
    fleet: Fleet, registry: Registry, fetch: Callable[..., Fetched]
) -> None:
    fetched = fetch(registry.url, registry.copied)
    assert fetched.code == 0, fetched.log
    here = dict(read_tree(fetched.model_dir / ARTIFACTS_DIR).files)
    # MLflow's client adds the name of the version to what it downloads.
    here.pop("registered_model_meta")
    assert here == read_tree(fleet.root / "iris" / ARTIFACTS_DIR).files
    # For this user alone.
    assert (fetched.model_dir / ARTIFACTS_DIR / "MLmodel").stat().st_mode & 0o077 == 0


def test_a_second_run_starts_afresh(registry: Registry, fetch: Callable[..., Fetched]) -> None:
    first = fetch(registry.url, registry.copied)
    digest = verify_manifest(first.model_dir)
    (first.model_dir / ARTIFACTS_DIR / "half.part").write_text("left over")
    assert fetch(registry.url, registry.copied).code == 0
    assert verify_manifest(first.model_dir) == digest


@pytest.mark.parametrize(
    ("version", "reason", "words"),
    [
        ("99", "ModelNotFound", "the registry has no version 99 of model 'iris'"),
        ("latest", "ModelNotFound", "the registry has no version latest of model 'iris'"),
        ("without_files", "ArtifactMissing", "exists, but"),
        ("without_mlmodel", "InvalidModel", "the artifacts hold no MLmodel file"),
    ],
)
def test_what_cannot_be_fetched_is_told_apart(
    registry: Registry, fetch: Callable[..., Fetched], version: str, reason: str, words: str
) -> None:
    fetched = fetch(registry.url, getattr(registry, version, version))
    assert fetched.code == 1
    assert fetched.termination is not None
    assert fetched.termination["reason"] == reason, fetched.log
    assert words in fetched.termination["message"]
    assert "Traceback" not in fetched.log


def test_a_registry_that_does_not_answer_is_no_verdict_on_the_model(fetch: Callable[..., Fetched]) -> None:
    secrets = {"MLFLOW_TRACKING_USERNAME": "somebody", "MLFLOW_TRACKING_PASSWORD": "hunter2"}
    fetched = fetch(f"http://user:swordfish@127.0.0.1:{free_port()}", "1", **secrets)
    assert fetched.termination is not None
    assert fetched.termination["reason"] == "FetchFailed"
    assert "gave no answer" in fetched.termination["message"]
    for secret in ("swordfish", "hunter2", "somebody"):
        assert secret not in fetched.log + fetched.termination["message"]


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", "%2e%2e/outside"])
def test_a_file_name_that_leads_out_of_the_directory_is_refused(fetch: Callable[..., Fetched], name: str) -> None:
    with lying_registry(name) as url:
        fetched = fetch(url, "1")
    assert fetched.termination is not None
    assert fetched.termination["reason"] == "InvalidModel", fetched.log
    assert not list(fetched.model_dir.parent.rglob("*outside*"))


def test_a_missing_setting_is_named(fetch: Callable[..., Fetched]) -> None:
    fetched = fetch("", "1")
    assert fetched.termination == {"reason": "InvalidSettings", "message": "MLFLOW_TRACKING_URI is not set"}


def test_a_version_that_stables_callers_could_not_use_is_refused(
    registry: Registry, fetch: Callable[..., Fetched], start: Start
) -> None:
    stable = f"models:/iris/{registry.logged}"
    fetched = fetch(registry.url, registry.renamed, MODELVANE_STABLE_MODEL_URI=stable)
    assert fetched.code == 0, fetched.log
    server = start(fetched.model_dir, MODELVANE_MODEL_VERSION=registry.renamed)
    others = "sepal_width: double, petal_length: double, petal_width: double"
    assert server.failure() == {
        "reason": "SignatureIncompatible",
        "message": (
            f"input 'sepal': new and required (double); stable (version {registry.logged}) "
            f"takes (sepal_length: double, {others}), gives (tensor(int64, [-1])); version {registry.renamed} "
            f"takes (sepal: double, {others}), gives (tensor(int64, [-1]))"
        ),
    }
    assert "model loaded" not in server.log
    ignoring = {"MODELVANE_VERIFY_SIGNATURE": "Ignore"}
    assert start(fetched.model_dir, **ignoring).wait_ready().get("/ping").status_code == 200


def test_a_version_with_the_same_signature_serves(
    registry: Registry, fetch: Callable[..., Fetched], start: Start
) -> None:
    stable = f"models:/iris/{registry.logged}"
    fetched = fetch(registry.url, registry.copied, MODELVANE_STABLE_MODEL_URI=stable)
    assert json.loads((fetched.model_dir / "stable_signature.json").read_text()) == {
        "model_uri": stable,
        "signature": fetched.facts["signature"],
    }
    server = start(fetched.model_dir).wait_ready()
    assert "the signature is compatible with stable's" in server.log


@pytest.mark.parametrize("version", ["99", "without_files", "without_mlmodel"])
def test_a_stable_version_that_cannot_be_read_stops_nothing(
    registry: Registry, fetch: Callable[..., Fetched], version: str
) -> None:
    first = fetch(registry.url, registry.copied, MODELVANE_STABLE_MODEL_URI=f"models:/iris/{registry.logged}")
    left = first.model_dir / "stable_signature.json"
    assert left.exists()
    stable = f"models:/iris/{getattr(registry, version, version)}"
    fetched = fetch(registry.url, registry.copied, MODELVANE_STABLE_MODEL_URI=stable)
    assert (fetched.code, left.exists()) == (0, False)
    (said,) = [line for line in map(json.loads, fetched.log.splitlines()) if "not compared" in line["message"]]
    assert said["stable"] == stable


def test_a_stable_version_whose_store_does_not_answer_is_not_waited_for(
    registry: Registry, fetch: Callable[..., Fetched]
) -> None:
    stuck = MlflowClient(registry.url).create_model_version("iris", "s3://silent/model").version
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = {
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        fetched = fetch(registry.url, registry.copied, MODELVANE_STABLE_MODEL_URI=f"models:/iris/{stuck}", **store)
        assert fetched.code == 0
        assert "it could not be read in time" in fetched.log
        asked, _ = silent.accept()
        with asked:
            asked.settimeout(10)
            request = b"".join(iter(lambda: asked.recv(65536), b""))
    # It was asked, and then the connection was closed: nothing waits on.
    assert request.startswith(b"GET /silent")


def test_a_stable_version_must_be_named_by_number(fetch: Callable[..., Fetched]) -> None:
    fetched = fetch("http://127.0.0.1:1", "1", MODELVANE_STABLE_MODEL_URI="models:/iris@champion")
    assert fetched.termination == {
        "reason": "InvalidSettings",
        "message": "MODELVANE_STABLE_MODEL_URI must be models:/NAME/VERSION, got 'models:/iris@champion'",
    }
