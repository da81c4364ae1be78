"""Keeps fetched models on the node, so that the next pod there that wants the same version downloads nothing.

    v1/objects/<digest>/    manifest.json and artifacts/, as `fetch` leaves them
    v1/index/<key>.json     which digest a version of a registry had
    v1/locks/, v1/tmp/      who is at it, and what is not finished

A help, never a condition: what cannot be read or written is said once and done without. Nothing in it is believed: what
a pod takes from it is hashed after it was copied, and is thrown away here if one byte is another. Copies and no hard
links, because a file that two pods share could be changed under one of them after it was checked; where the file system
can share blocks, the copy is one that does.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelvane_serving.failure import StartError, explain
from modelvane_serving.manifest import ARTIFACTS_DIR, Manifest, read_manifest, read_tree, walk_files, write_manifest

_log = logging.getLogger(__name__)

# As long as another pod may take to download the same model: both at once would take longer.
FETCH_SECONDS: Final = 300.0
# Another pod copies a model of its own. Not worth a wait: the next pod that downloads this one keeps it.
STORE_SECONDS: Final = 10.0
COPY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class NodeCache:
    """The cache in a directory; without one it is empty and keeps nothing."""

    root: Path | None
    max_bytes: int
    fetch_seconds: float = FETCH_SECONDS
    store_seconds: float = STORE_SECONDS

    def fetch(
        self, key: Mapping[str, str], artifacts: Path, limit: int | None, download: Callable[[], Manifest]
    ) -> tuple[Manifest, bool]:
        """Take the files from the node, or download and keep them; say which it was.

        Of pods that start together one downloads, and the others wait for what it brings.
        """
        manifest = self._restore_anew(key, artifacts, limit)
        if manifest is not None:
            return manifest, True
        with self.locked(key):
            if not self._has(key):
                manifest = download()
                self.keep(key, artifacts, manifest)
                return manifest, False
        manifest = self._restore_anew(key, artifacts, limit)
        return (manifest, True) if manifest is not None else (download(), False)

    @contextmanager
    def locked(self, key: Mapping[str, str]) -> Iterator[None]:
        """Let one pod at a time download this version."""
        with ExitStack() as stack:
            if self.root is not None:
                with _going_without("another pod may download the same at the same time"):
                    # Some versions share a lock, so that there is an end to their number.
                    stack.enter_context(_lock(self.root, f"fetch-{_name(key)[:2]}", self.fetch_seconds))
            yield

    def restore(self, key: Mapping[str, str], artifacts: Path, limit: int | None) -> Manifest | None:
        """Put the version's files into an empty directory; None if they are not here, or not as they were."""
        if self.root is None:
            return None
        with _going_without("the model is downloaded"):
            digest = _read_index(self.root, key)
            if digest is not None:
                return _take(self.root, digest, artifacts, limit)
        return None

    def _restore_anew(self, key: Mapping[str, str], artifacts: Path, limit: int | None) -> Manifest | None:
        # An earlier run of this container may have left half a model.
        shutil.rmtree(artifacts, ignore_errors=True)
        return self.restore(key, artifacts, limit)

    def _has(self, key: Mapping[str, str]) -> bool:
        if self.root is not None:
            with suppress(OSError, ValueError):
                digest = _read_index(self.root, key)
                return digest is not None and _object(self.root, digest).is_dir()
        return False

    def keep(self, key: Mapping[str, str], artifacts: Path, manifest: Manifest) -> None:
        """Keep a copy for the next pod, and let go what was not wanted for longest."""
        if self.root is None:
            return
        with _going_without("the next pod on this node downloads the model again"), ExitStack() as stack:
            stack.enter_context(_lock(self.root, "store", self.store_seconds))
            # Under the lock, whatever is unfinished is left over.
            shutil.rmtree(self.root / "v1/tmp", ignore_errors=True)
            target = _object(self.root, manifest.digest)
            if not target.exists():
                size = _size(artifacts)
                if size > self.max_bytes:
                    fields = {"bytes": size, "MODELVANE_CACHE_MAX_BYTES": self.max_bytes}
                    _log.info("the model is too large for the node cache", extra={"fields": fields})
                    return
                _make_room(self.root, self.max_bytes - size)
                with _unfinished(self.root) as folder:
                    _copy_tree(artifacts, folder / ARTIFACTS_DIR)
                    write_manifest(manifest, folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    folder.rename(target)
            _write_index(self.root, key, manifest.digest)


def _take(root: Path, digest: str, artifacts: Path, limit: int | None) -> Manifest | None:
    source = _object(root, digest)
    if not source.is_dir() or (limit is not None and _size(source / ARTIFACTS_DIR) > limit):
        # Let go meanwhile; or allowed no more, which is said by what is listed.
        return None
    try:
        expected = read_manifest(source)
        _copy_tree(source / ARTIFACTS_DIR, artifacts)
        manifest = read_tree(artifacts)
        intact = manifest.files == expected.files and manifest.digest == digest
    except StartError:
        intact = False
    if not intact:
        fields = {"digest": digest}
        _log.warning(
            "the node cache holds other files than were fetched: they are thrown away", extra={"fields": fields}
        )
        _discard(root, source)
        return None
    with suppress(OSError):
        # Not in a cache that can only be read.
        os.utime(source)
    return manifest


@contextmanager
def _lock(root: Path, name: str, seconds: float) -> Iterator[None]:
    """Hold a lock of the kernel's, which is gone with the process that held it, however that ended."""
    path = root / "v1/locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another pod holds the lock {name!r} for more than {seconds:g} s") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _going_without(consequence: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        fields = {"error": explain(error)}
        _log.warning(f"the node cache cannot be used: {consequence}", extra={"fields": fields})


def _name(key: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _object(root: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{digest[:80]!r} is no digest")
    return root / "v1/objects" / value


def _read_index(root: Path, key: Mapping[str, str]) -> str | None:
    path = root / "v1/index" / f"{_name(key)}.json"
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return str(entry["digest"]) if entry["key"] == dict(key) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} cannot be read: {type(error).__name__}") from None


def _write_index(root: Path, key: Mapping[str, str], digest: str) -> None:
    folder = root / "v1/index"
    folder.mkdir(parents=True, exist_ok=True)
    with _unfinished(root) as unfinished:
        (unfinished / "entry").write_text(json.dumps({"key": dict(key), "digest": digest}, indent=1), encoding="utf-8")
        (unfinished / "entry").replace(folder / f"{_name(key)}.json")


def _make_room(root: Path, available: int) -> None:
    """Let go of models until no more is left than this, the one that was not wanted for longest first."""
    objects = root / "v1/objects"
    objects.mkdir(parents=True, exist_ok=True)
    kept = sorted(objects.iterdir(), key=lambda path: path.lstat().st_mtime)
    sizes = {path: _size(path) for path in kept}
    total = sum(sizes.values())
    for path in kept:
        if total <= available:
            break
        total -= sizes[path]
        _discard(root, path)
    for entry in (root / "v1/index").glob("*.json"):
        try:
            stays = _object(root, json.loads(entry.read_text(encoding="utf-8"))["digest"]).exists()
        except (OSError, ValueError, KeyError, TypeError):
            stays = False
        if not stays:
            entry.unlink(missing_ok=True)


def _discard(root: Path, path: Path) -> None:
    """Take it out of reach in one step; a pod that is copying from it downloads instead."""
    with _unfinished(root) as folder:
        path.rename(folder / "discarded")


@contextmanager
def _unfinished(root: Path) -> Iterator[Path]:
    """Make a directory of one's own on the cache's file system, which is gone afterwards."""
    parent = root / "v1/tmp"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum((Path(where) / name).lstat().st_size for where, _, names in os.walk(folder) for name in names)


def _copy_tree(source: Path, target: Path) -> None:
    """Copy folders and plain files; anything else is refused, as it is in a model."""
    for _ in walk_files(source):
        pass
    shutil.copytree(source, target, copy_function=_copy, dirs_exist_ok=True)


def _copy(source: str, target: str) -> None:
    with Path(source).open("rb") as reading, Path(target).open("xb") as writing:
        # Shares the blocks where the file system can, and else copies in the kernel; what it cannot do is left over.
        with suppress(OSError):
            while os.copy_file_range(reading.fileno(), writing.fileno(), COPY_BYTES):
                pass
        shutil.copyfileobj(reading, writing, COPY_BYTES)
