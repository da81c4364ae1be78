"""The node cache: the second pod downloads nothing, and nothing that is wrong with the cache matters."""

import contextlib
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from modelvane_serving.fetching.node_cache import NodeCache
from modelvane_serving.manifest import ARTIFACTS_DIR, Manifest, read_tree

from tests.serving.fetching import MLMODEL, Fetched, Fetching, Store, local_store, run_fetch
from tests.serving.middle import Middle, standing_before

KEY = {"model": "m", "version": "1"}
GIB = 1024**3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with local_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def middle(store: Store) -> Iterator[Middle]:
    with standing_before(store.url) as running:
        yield running


@pytest.fixture
def fetch(middle: Middle, tmp_path: Path) -> Callable[..., Fetched]:
    """Fetch as one more pod of the same node."""
    pods = iter(range(100))

    def run(version: str, **extra: str) -> Fetched:
        settings = {"MODELVANE_CACHE_DIR": str(tmp_path / "node"), **extra}
        return run_fetch(tmp_path / f"pod-{next(pods)}", middle.url, "m", version, **settings)

    return run


FILES = {"data/weights.bin": b"w" * 100_000, "requirements.txt": b"x\n"}


def test_the_second_pod_on_a_node_downloads_nothing(
    store: Store, middle: Middle, fetch: Callable[..., Fetched]
) -> None:
    version = store.add("m", FILES)
    first = fetch(version)
    asked = len(middle.artifacts())
    assert (first.code, asked > 0) == (0, True), first.log
    second = fetch(version)
    assert len(middle.artifacts()) == asked, second.log
    assert second.files == first.files == {"MLmodel": MLMODEL, **FILES}
    assert (second.termination, second.facts) == (first.termination, first.facts)
    assert [run.logged("model fetched")[0]["from_node_cache"] for run in (first, second)] == [False, True]
    # What one pod does with its files is no matter of the other.
    (second.model_dir / ARTIFACTS_DIR / "requirements.txt").write_bytes(b"y")
    assert fetch(version).files == first.files
    assert len(middle.artifacts()) == asked


def test_a_version_that_is_gone_or_made_anew_is_not_taken_from_the_cache(
    store: Store, fetch: Callable[..., Fetched]
) -> None:
    client = MlflowClient(store.url)
    version = store.add("m", FILES)
    assert fetch(version).code == 0
    client.delete_registered_model("m")
    assert fetch(version).reason == "ModelNotFound"
    assert store.add("m", {"weights.bin": b"other"}) == "1"
    assert fetch("1").files == {"MLmodel": MLMODEL, "weights.bin": b"other"}


def poison_content(cached: Path) -> None:
    file = cached / ARTIFACTS_DIR / "data/weights.bin"
    file.write_bytes(b"v" + file.read_bytes()[1:])


def poison_manifest(cached: Path) -> None:
    """Change a file and the list that it is in, which then agree with each other."""
    poison_content(cached)
    manifest = read_tree(cached / ARTIFACTS_DIR)
    content = {"digest": manifest.digest, "files": dict(manifest.files)}
    (cached / "manifest.json").write_text(json.dumps(content))


def half_written(cached: Path) -> None:
    (cached / ARTIFACTS_DIR / "requirements.txt").unlink()


def one_file_more(cached: Path) -> None:
    (cached / ARTIFACTS_DIR / "more.py").write_text("")


def a_link(cached: Path) -> None:
    (cached / ARTIFACTS_DIR / "requirements.txt").unlink()
    (cached / ARTIFACTS_DIR / "requirements.txt").symlink_to("/etc/passwd")


def no_manifest(cached: Path) -> None:
    (cached / "manifest.json").write_text("{")


@pytest.mark.parametrize("harm", [poison_content, poison_manifest, half_written, one_file_more, a_link, no_manifest])
def test_a_poisoned_cache_is_not_served_but_mended(
    store: Store, middle: Middle, fetch: Callable[..., Fetched], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    version = store.add("m", FILES)
    first = fetch(version)
    (cached,) = (tmp_path / "node/v1/objects").iterdir()
    harm(cached)
    asked = len(middle.artifacts())
    second = fetch(version)
    assert (second.code, second.termination) == (0, first.termination), second.log
    assert second.files == first.files
    assert len(middle.artifacts()) > asked
    assert second.logged("the node cache holds other files than were fetched")
    asked = len(middle.artifacts())
    assert fetch(version).files == first.files
    assert len(middle.artifacts()) == asked


def test_pods_that_start_together_download_once(store: Store, middle: Middle, tmp_path: Path) -> None:
    version = store.add("m", {"weights.bin": b"w" * 1_000_000})
    settings = {"MODELVANE_CACHE_DIR": str(tmp_path / "node")}
    pods = [Fetching(tmp_path / f"pod-{n}", middle.url, "m", version, **settings) for n in range(3)]
    runs = [pod.wait() for pod in pods]
    assert [run.code for run in runs] == [0, 0, 0], [run.log for run in runs]
    assert len(middle.of("weights.bin")) == 1
    assert all(run.files == runs[0].files for run in runs)


@pytest.mark.parametrize("obstacle", ["a file", "nothing may be made there", "index", "locks"])
def test_a_cache_that_cannot_be_used_is_done_without(
    store: Store, fetch: Callable[..., Fetched], tmp_path: Path, obstacle: str
) -> None:
    node = tmp_path / "node"
    if obstacle == "a file":
        node.write_text("")
    elif obstacle == "nothing may be made there":
        node = Path("/proc/self/node")
    else:
        (node / "v1").mkdir(parents=True)
        (node / "v1" / obstacle).write_text("")
    fetched = fetch(store.add("m", FILES), MODELVANE_CACHE_DIR=str(node))
    assert fetched.code == 0, fetched.log
    assert fetched.files == {"MLmodel": MLMODEL, **FILES}
    assert all(line["level"] == "warning" for line in fetched.logged("the node cache cannot be used"))
    assert fetched.logged("the node cache cannot be used")
    assert "Traceback" not in fetched.log


def test_a_limit_holds_for_what_is_cached(store: Store, fetch: Callable[..., Fetched]) -> None:
    version = store.add("m", FILES)
    assert fetch(version).code == 0
    assert fetch(version, MODELVANE_MAX_MODEL_BYTES="1000").reason == "InvalidModel"


def model(folder: Path, letter: str, size: int) -> Manifest:
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(letter.encode() * size)
    return read_tree(folder)


def has(cache: NodeCache, folder: Path, version: str) -> bool:
    return cache.restore({**KEY, "version": version}, folder, None) is not None


def test_what_was_not_wanted_for_longest_makes_room(tmp_path: Path) -> None:
    one = len("a") * 100_000
    cache = NodeCache(tmp_path / "node", max_bytes=int(2.5 * one))
    for letter in "abc":
        manifest = model(tmp_path / letter, letter, one)
        cache.keep({**KEY, "version": letter}, tmp_path / letter, manifest)
        time.sleep(0.02)
        if letter == "b":
            assert has(cache, tmp_path / "wanted", "a")
            time.sleep(0.02)
    assert [has(cache, tmp_path / f"again-{letter}", letter) for letter in "abc"] == [True, False, True]
    assert len(list((tmp_path / "node/v1/index").iterdir())) == 2
    too_large = model(tmp_path / "large", "d", 3 * one)
    cache.keep({**KEY, "version": "d"}, tmp_path / "large", too_large)
    assert [has(cache, tmp_path / f"once-more-{letter}", letter) for letter in "acd"] == [True, True, False]


def test_the_same_files_under_two_names_are_kept_once(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path / "node", GIB)
    manifest = model(tmp_path / "m", "a", 10)
    for version in "12":
        cache.keep({**KEY, "version": version}, tmp_path / "m", manifest)
        assert has(cache, tmp_path / f"again-{version}", version)
    assert len(list((tmp_path / "node/v1/objects").iterdir())) == 1


def test_what_a_pod_left_unfinished_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "node/v1/tmp/left"
    left.mkdir(parents=True)
    (left / "weights.bin").write_bytes(b"half")
    NodeCache(tmp_path / "node", GIB).keep(KEY, tmp_path / "m", model(tmp_path / "m", "a", 10))
    assert not left.exists()


def test_a_pod_that_holds_the_lock_is_not_waited_for_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = NodeCache(tmp_path / "node", GIB, fetch_seconds=0.2)
    with cache.locked(KEY):
        begun = time.monotonic()
        with cache.locked(KEY):
            assert 0.2 <= time.monotonic() - begun < 5
    assert "the node cache cannot be used" in caplog.text
    caplog.clear()
    # It is free again.
    with cache.locked(KEY):
        assert not caplog.text


def test_a_full_disk_leaves_no_half_model_behind(tmp_path: Path) -> None:
    manifest = model(tmp_path / "m", "a", 1_000_000)

    def keep_with_a_full_disk() -> None:
        # To a program the same as no space: its write fails half way.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        NodeCache(tmp_path / "node", GIB).keep(KEY, tmp_path / "m", manifest)

    process = multiprocessing.get_context("fork").Process(target=keep_with_a_full_disk)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    cache = NodeCache(tmp_path / "node", GIB)
    assert not has(cache, tmp_path / "again", "1")
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(tmp_path / "node/v1/tmp") == []
        assert os.listdir(tmp_path / "node/v1/objects") == []
