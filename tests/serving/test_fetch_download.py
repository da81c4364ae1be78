"""How files come: in ranges, over connections that break, from servers that know no ranges, and never half or mixed."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving.fetching import MLMODEL, Fetched, Store, local_store, run_fetch
from tests.serving.middle import Middle, standing_before
from tests.serving.registry import lying_registry

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with local_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def middle(store: Store) -> Iterator[Middle]:
    with standing_before(store.url) as running:
        yield running


def ranges(middle: Middle, end: str) -> list[str | None]:
    return [seen.headers.get("Range") for seen in middle.of(end)]


def test_a_large_file_comes_in_ranges_of_one_etag(store: Store, middle: Middle, tmp_path: Path) -> None:
    weights = os.urandom(70 * MIB + 5)
    version = store.add("large", {"data/weights.bin": weights, "data/empty": b""})
    fetched = run_fetch(tmp_path, middle.url, "large", version)
    assert fetched.code == 0, fetched.log
    assert fetched.files == {"MLmodel": MLMODEL, "data/weights.bin": weights, "data/empty": b""}
    first, *parts = middle.of("weights.bin")
    assert first.headers["Range"] == "bytes=0-0"
    expected = ["bytes=0-33554431", "bytes=33554432-67108863", f"bytes=67108864-{len(weights) - 1}"]
    assert sorted(part.headers["Range"] for part in parts) == expected
    assert len({part.headers["If-Range"] for part in parts}) == 1
    assert sum(seen.sent for seen in middle.of("weights.bin")) == len(weights) + 1


def test_a_broken_connection_is_taken_up_where_it_stopped(store: Store, middle: Middle, tmp_path: Path) -> None:
    weights = os.urandom(3 * MIB)
    version = store.add("broken", {"weights.bin": weights})
    middle.cut["weights.bin"] = [MIB + 7, 5, MIB]
    fetched = run_fetch(tmp_path, middle.url, "broken", version)
    assert fetched.code == 0, fetched.log
    assert fetched.files["weights.bin"] == weights
    first, *again = ranges(middle, "weights.bin")
    assert first is None
    assert len(again) == 3
    assert [int(str(said).removeprefix("bytes=").removesuffix("-")) > 0 for said in again] == [True] * 3
    # The last piece of a chunk that was not complete comes again, and no more than that.
    assert sum(seen.sent for seen in middle.of("weights.bin")) < len(weights) + 3 * MIB
    assert len(fetched.logged("a download broke off and is taken up again")) == 3


def test_a_broken_range_is_taken_up_too(store: Store, middle: Middle, tmp_path: Path) -> None:
    weights = os.urandom(64 * MIB)
    version = store.add("ranges", {"weights.bin": weights})
    # The first answer is the one for the ETag, of one byte.
    middle.cut["weights.bin"] = [100, 5 * MIB, 30 * MIB]
    fetched = run_fetch(tmp_path, middle.url, "ranges", version)
    assert fetched.code == 0, fetched.log
    assert fetched.files["weights.bin"] == weights
    assert len(middle.of("weights.bin")) == 5


@pytest.mark.parametrize("size", [3 * MIB, 65 * MIB])
def test_a_server_without_ranges_is_good_enough(store: Store, middle: Middle, tmp_path: Path, size: int) -> None:
    weights = os.urandom(size)
    version = store.add("plain", {"weights.bin": weights})
    middle.ignore_ranges = True
    middle.cut["weights.bin"] = [MIB]
    fetched = run_fetch(tmp_path, middle.url, "plain", version)
    assert fetched.code == 0, fetched.log
    assert fetched.files["weights.bin"] == weights
    assert [seen.status for seen in middle.of("weights.bin")] == [200, 200]


@pytest.mark.parametrize("size", [3 * MIB, 65 * MIB])
def test_a_file_that_changes_meanwhile_is_never_mixed(store: Store, middle: Middle, tmp_path: Path, size: int) -> None:
    version = store.add("changing", {"weights.bin": b"a" * size})
    file = store.file("changing", version, "weights.bin")
    middle.cut["weights.bin"] = [MIB] if size < 64 * MIB else [100, MIB]
    # In one step, as object stores do it: half a file of the server's would be another fault.
    other = store.folder / "other"
    other.write_bytes(b"b" * size)
    middle.after_cut = lambda: other.exists() and other.replace(file)
    fetched = run_fetch(tmp_path, middle.url, "changing", version)
    assert fetched.code == 0, fetched.log
    assert set(fetched.files["weights.bin"]) == {ord("b")}
    assert len(fetched.files["weights.bin"]) == size


def test_a_connection_that_always_breaks_is_given_up(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("hopeless", {"weights.bin": os.urandom(MIB)})
    middle.cut["weights.bin"] = [10] * 100
    fetched = run_fetch(tmp_path, middle.url, "hopeless", version)
    assert (fetched.code, fetched.reason) == (1, "FetchFailed"), fetched.log
    assert len(middle.of("weights.bin")) == 5
    assert "Traceback" not in fetched.log


@pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"x"], ids=["shorter", "longer"])
def test_another_length_than_was_listed_is_refused(
    store: Store, middle: Middle, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    version = store.add("other", {"weights.bin": os.urandom(1000)})
    middle.rewrite["weights.bin"] = change
    fetched = run_fetch(tmp_path, middle.url, "other", version)
    assert fetched.reason == "FetchFailed", fetched.log
    assert "it was listed with 1000" in fetched.message


def test_a_file_that_is_listed_and_gone_is_missing(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("gone", {"weights.bin": b"w"})
    file = store.file("gone", version, "weights.bin")

    def list_and_lose(body: bytes) -> bytes:
        file.unlink(missing_ok=True)
        return body

    middle.rewrite["/mlflow-artifacts/artifacts"] = list_and_lose
    fetched = run_fetch(tmp_path, middle.url, "gone", version)
    assert fetched.reason == "ArtifactMissing", fetched.log


def test_a_model_above_the_limit_is_refused_by_what_is_listed(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("heavy", {"weights.bin": b"w" * 1000})
    total = 1000 + len(MLMODEL)
    refused = run_fetch(tmp_path, middle.url, "heavy", version, MODELVANE_MAX_MODEL_BYTES=str(total - 1))
    assert refused.termination == {
        "reason": "InvalidModel",
        "message": f"the model is larger than MODELVANE_MAX_MODEL_BYTES: its files have {total}, allowed {total - 1}",
    }
    assert not middle.of("weights.bin")
    assert run_fetch(tmp_path, middle.url, "heavy", version, MODELVANE_MAX_MODEL_BYTES=str(total)).code == 0


def test_a_model_above_the_limit_is_refused_by_what_arrives(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("secret", {"weights.bin": b"w" * 5 * MIB})

    def without_sizes(body: bytes) -> bytes:
        files = json.loads(body)["files"]
        return json.dumps({"files": [{"path": file["path"], "is_dir": file["is_dir"]} for file in files]}).encode()

    middle.rewrite["/mlflow-artifacts/artifacts"] = without_sizes
    refused = run_fetch(tmp_path, middle.url, "secret", version, MODELVANE_MAX_MODEL_BYTES=str(MIB))
    assert (refused.reason, refused.message.partition(":")[0]) == (
        "InvalidModel",
        "the model is larger than MODELVANE_MAX_MODEL_BYTES",
    )
    assert not (refused.model_dir / "artifacts/weights.bin").stat().st_size > MIB
    assert run_fetch(tmp_path, middle.url, "secret", version).files["weights.bin"] == b"w" * 5 * MIB


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "a"], "two files named 'a'"),
        (["a", "a/b"], "a file and a folder named 'a'"),
        (["a//b"], "'a//b' is not a plain path"),
        (["./a"], "'./a' is not a plain path"),
        (["a/"], "'a/' is not a plain path"),
        (["n" * 256], "is longer than 255 bytes in a name"),
    ],
)
def test_names_that_cannot_all_be_files_are_refused_before_anything_is_written(
    tmp_path: Path, names: list[str], words: str
) -> None:
    with lying_registry(*names) as url:
        fetched = run_fetch(tmp_path, url, "m", "1")
    assert fetched.reason == "InvalidModel", fetched.log
    assert words in fetched.message
    assert not fetched.files


def test_every_request_has_the_credentials_and_the_workspace(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("private", {"data/weights.bin": b"w"})
    secrets = {"MLFLOW_TRACKING_USERNAME": "somebody", "MLFLOW_TRACKING_PASSWORD": "hunter2"}
    run_fetch(tmp_path, middle.url, "private", version, MLFLOW_WORKSPACE="team", **secrets)
    basic = "Basic c29tZWJvZHk6aHVudGVyMg=="
    assert middle.seen
    for seen in middle.seen:
        headers = {name.lower(): value for name, value in seen.headers.items()}
        assert (headers["authorization"], headers["x-mlflow-workspace"]) == (basic, "team"), seen.path


def test_names_of_all_kinds_arrive(store: Store, tmp_path: Path) -> None:
    files = {"with space.txt": b"1", "a+b/c&d.txt": b"2", "äöü/数据.bin": b"3", "semi;colon": b"4", "q?x": b"5"}
    version = store.add("names", files)
    fetched = run_fetch(tmp_path, store.url, "names", version)
    assert fetched.code == 0, fetched.log
    assert fetched.files == {"MLmodel": MLMODEL, **files}


def test_links_into_the_store_that_lead_nowhere_are_done_without(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("links", {"weights.bin": b"w" * 1000})
    fetched: Fetched = run_fetch(tmp_path, middle.url, "links", version, MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="true")
    assert fetched.code == 0, fetched.log
    assert fetched.files["weights.bin"] == b"w" * 1000
    assert fetched.logged("links into the store lead nowhere")


def test_any_other_store_is_asked_by_mlflow_and_links_in_it_are_refused(
    store: Store, middle: Middle, tmp_path: Path
) -> None:
    version = store.add("local", {})
    files = {"MLmodel": MLMODEL, "data/weights.bin": b"w" * 1000}
    source = tmp_path / "source"
    for path, content in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    # The server registers no such source; one that was registered before it did not is still there.
    middle.rewrite["/get-download-uri"] = lambda _: json.dumps({"artifact_uri": f"file://{source}"}).encode()
    fetched = run_fetch(tmp_path, middle.url, "local", version)
    assert fetched.code == 0, fetched.log
    assert fetched.files == files
    limited = run_fetch(tmp_path, middle.url, "local", version, MODELVANE_MAX_MODEL_BYTES="1000")
    assert limited.reason == "InvalidModel", limited.log
    (source / "data/environment").symlink_to("/proc/self/environ")
    refused = run_fetch(tmp_path, middle.url, "local", version)
    assert refused.termination == {"reason": "InvalidModel", "message": "'data/environment' is a symbolic link"}
    assert not refused.files
