"""Files that are in S3: fetched from it directly, and through an MLflow server that keeps its artifacts there."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.serving import s3
from tests.serving.fetching import MLMODEL, Fetched, register, run_fetch
from tests.serving.middle import Middle, standing_before
from tests.serving.registry import mlflow_server

MIB = 1024 * 1024


@dataclass
class Cloud:
    """An S3 server, a proxy before it, and an MLflow server whose artifacts are in it."""

    s3: Any
    s3_url: str
    mlflow_url: str
    scratch: Path

    def put(self, place: str, files: dict[str, bytes]) -> None:
        for path, content in {"MLmodel": MLMODEL, **files}.items():
            self.s3.put_object(Bucket="models", Key=f"{place}/{path}", Body=content)

    def fetch(self, version: str, endpoint: str | None = None, **extra: str) -> Fetched:
        settings = {**s3.KEYS, "MLFLOW_S3_ENDPOINT_URL": endpoint or self.s3_url, **extra}
        return run_fetch(self.scratch, self.mlflow_url, "m", version, **settings)

    def etag(self, key: str) -> str:
        return str(self.s3.head_object(Bucket="models", Key=key)["ETag"])

    def register(self, place: str) -> str:
        return register(self.mlflow_url, "m", f"s3://models/{place}")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    scratch = tmp_path_factory.mktemp("cloud")
    with s3.s3_server(scratch) as s3_url:
        settings = {**s3.KEYS, "MLFLOW_S3_ENDPOINT_URL": s3_url}
        with mlflow_server(scratch, destination="s3://models/server", **settings) as mlflow_url:
            yield s3_url, mlflow_url


@pytest.fixture
def cloud(servers: tuple[str, str], tmp_path: Path) -> Cloud:
    return Cloud(s3.client(servers[0]), *servers, tmp_path)


@pytest.fixture
def middle(cloud: Cloud) -> Iterator[Middle]:
    with standing_before(cloud.s3_url) as running:
        yield running


def test_a_model_comes_straight_from_s3_in_ranges(cloud: Cloud, middle: Middle) -> None:
    files = {"data/weights.bin": os.urandom(20 * MIB), "data/a b+c.txt": b"1", "empty": b""}
    cloud.put("direct", {**files})
    # What is not of the model, and how consoles mark a folder.
    cloud.put("direct-neighbour", {})
    cloud.s3.put_object(Bucket="models", Key="direct/data/", Body=b"")
    fetched = cloud.fetch(cloud.register("direct"), middle.url)
    assert fetched.code == 0, fetched.log
    assert fetched.files == {"MLmodel": MLMODEL, **files}
    weights = middle.of("weights.bin")
    assert [seen.method for seen in weights] == ["HEAD", "GET", "GET", "GET"]
    assert sorted(seen.headers["Range"] for seen in weights[1:]) == [
        "bytes=0-8388607",
        "bytes=16777216-",
        "bytes=8388608-16777215",
    ]
    assert {seen.headers.get("If-Match") for seen in weights[1:]} == {cloud.etag("direct/data/weights.bin")}
    assert [seen.method for seen in middle.of("/direct/MLmodel")] == ["GET"]


def test_broken_connections_are_taken_up(cloud: Cloud, middle: Middle) -> None:
    files = {"weights.bin": os.urandom(20 * MIB), "small.bin": os.urandom(MIB)}
    cloud.put("broken", files)
    middle.cut["weights.bin"] = [0, MIB, 2 * MIB]
    middle.cut["small.bin"] = [1000]
    fetched = cloud.fetch(cloud.register("broken"), middle.url)
    assert fetched.code == 0, fetched.log
    assert fetched.files == {"MLmodel": MLMODEL, **files}
    assert (len(middle.of("weights.bin")), len(middle.of("small.bin"))) == (6, 2)


def test_a_store_that_ignores_ranges_is_good_enough(cloud: Cloud, middle: Middle) -> None:
    weights = os.urandom(20 * MIB)
    cloud.put("plain", {"weights.bin": weights})
    middle.ignore_ranges = True
    fetched = cloud.fetch(cloud.register("plain"), middle.url)
    assert fetched.code == 0, fetched.log
    assert fetched.files["weights.bin"] == weights


def test_an_object_that_changes_meanwhile_is_never_mixed(cloud: Cloud, middle: Middle) -> None:
    cloud.put("changing", {"weights.bin": b"a" * 40 * MIB})
    version = cloud.register("changing")
    middle.cut["weights.bin"] = [0, MIB]
    middle.after_cut = lambda: cloud.put("changing", {"weights.bin": b"b" * 40 * MIB})
    fetched = cloud.fetch(version, middle.url)
    assert (fetched.code, fetched.reason) == (1, "FetchFailed"), fetched.log
    assert "did not match expected ETag" in fetched.message
    middle.after_cut = None
    assert set(cloud.fetch(version, middle.url).files["weights.bin"]) == {ord("b")}


@pytest.mark.parametrize(
    ("source", "reason"), [("s3://models/nothing", "ArtifactMissing"), ("s3://no-such-bucket/m", "ArtifactMissing")]
)
def test_what_is_not_in_s3_is_missing(cloud: Cloud, source: str, reason: str) -> None:
    fetched = cloud.fetch(register(cloud.mlflow_url, "m", source))
    assert (fetched.code, fetched.reason) == (1, reason), fetched.log


def test_s3_that_does_not_answer_is_no_verdict_on_the_model(cloud: Cloud) -> None:
    version = cloud.register("direct")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    fetched = cloud.fetch(version, f"http://127.0.0.1:{port}", AWS_MAX_ATTEMPTS="1")
    assert (fetched.code, fetched.reason) == (1, "FetchFailed"), fetched.log


def test_a_limit_is_held_by_what_is_listed(cloud: Cloud, middle: Middle) -> None:
    cloud.put("heavy", {"weights.bin": b"w" * 1000})
    fetched = cloud.fetch(cloud.register("heavy"), middle.url, MODELVANE_MAX_MODEL_BYTES="1000")
    assert fetched.reason == "InvalidModel", fetched.log
    assert not middle.of("weights.bin")


def put_through_server(cloud: Cloud, weights: bytes) -> str:
    run = MlflowClient(cloud.mlflow_url).create_run("0").info
    place = str(run.artifact_uri).removeprefix("mlflow-artifacts:/")
    cloud.put(f"server/{place}/m", {"weights.bin": weights})
    return register(cloud.mlflow_url, "m", f"{run.artifact_uri}/m", run.run_id)


def test_a_server_before_s3_gives_each_file_once(cloud: Cloud) -> None:
    weights = os.urandom(65 * MIB)
    version = put_through_server(cloud, weights)
    with standing_before(cloud.mlflow_url) as middle:
        settings = {"MLFLOW_TRACKING_URI": middle.url, "MLFLOW_REGISTRY_URI": middle.url}
        fetched = cloud.fetch(version, **settings)
    assert fetched.files["weights.bin"] == weights, fetched.log
    # For each range it would fetch the whole from S3: a small file has shown that.
    assert [seen.headers.get("Range") for seen in middle.of("weights.bin")] == [None]


def test_links_into_s3_are_followed_in_ranges(cloud: Cloud) -> None:
    weights = os.urandom(65 * MIB)
    version = put_through_server(cloud, weights)
    with standing_before(cloud.mlflow_url) as middle:
        settings = {"MLFLOW_TRACKING_URI": middle.url, "MLFLOW_REGISTRY_URI": middle.url}
        fetched = cloud.fetch(version, **settings, MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="true")
    assert fetched.files["weights.bin"] == weights, fetched.log
    assert "lead nowhere" not in fetched.log
    # One for the ETag, and three ranges: links are all that the server gives.
    assert ["/presigned/" in seen.path for seen in middle.of("weights.bin")] == [True] * 4
    assert max(seen.sent for seen in middle.of("weights.bin")) < 10_000
