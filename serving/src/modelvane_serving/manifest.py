"""The files of a fetched model and their SHA-256, so that what is served is what was fetched.

`fetch` writes the manifest and `serve` checks it before any file is opened by a model's flavor. The digest over all of
them names the artifact: two pods with the same digest serve the same bytes.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelvane_serving.failure import DIGEST_MISMATCH, INVALID_MODEL, StartError

MANIFEST_FILE = "manifest.json"
FACTS_FILE = "facts.json"
ARTIFACTS_DIR = "artifacts"


@dataclass(frozen=True)
class Manifest:
    """SHA-256 by path relative to the artifacts directory, and one digest over them all."""

    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Digest over the sorted `sha256  path` lines, the format of sha256sum."""
        lines = "".join(f"{self.files[path]}  {path}\n" for path in sorted(self.files))
        return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def read_tree(root: Path) -> Manifest:
    """Hash every file under root; anything that is neither a plain file nor a directory is refused."""
    return Manifest({path: _sha256(root / path) for path in sorted(walk_files(root))})


def write_manifest(manifest: Manifest, model_dir: Path) -> None:
    """Write manifest.json."""
    content = {"digest": manifest.digest, "files": dict(manifest.files)}
    (model_dir / MANIFEST_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_manifest(model_dir: Path) -> Manifest:
    """Read manifest.json; one that is at odds with itself is no manifest."""
    try:
        recorded = json.loads((model_dir / MANIFEST_FILE).read_text(encoding="utf-8"))
        manifest, digest = Manifest(recorded["files"]), recorded["digest"]
        computed = manifest.digest
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(DIGEST_MISMATCH, f"{MANIFEST_FILE} cannot be read: {type(error).__name__}") from None
    if computed != digest:
        raise StartError(DIGEST_MISMATCH, f"{MANIFEST_FILE} says {digest}, its own list gives {computed}")
    return manifest


def verify_manifest(model_dir: Path) -> str:
    """Compare the files with manifest.json and return the digest; a difference is named and ends the program."""
    expected = read_manifest(model_dir)
    actual = read_tree(model_dir / ARTIFACTS_DIR)
    for path in sorted(set(expected.files) | set(actual.files)):
        if path not in actual.files:
            raise StartError(DIGEST_MISMATCH, f"file {path!r} was fetched and is gone")
        if path not in expected.files:
            raise StartError(DIGEST_MISMATCH, f"file {path!r} was not fetched and is there")
        if actual.files[path] != expected.files[path]:
            raise StartError(
                DIGEST_MISMATCH,
                f"file {path!r} has sha256 {actual.files[path]}, fetched was {expected.files[path]}",
            )
    return actual.digest


def walk_files(root: Path) -> Iterator[str]:
    """Yield the relative path of each file. Links are never followed: one could point out of the directory."""
    for folder, folders, names in os.walk(root, followlinks=False):
        for name in (*folders, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                yield path.relative_to(root).as_posix()
            elif not stat.S_ISDIR(mode):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a plain file"
                raise StartError(INVALID_MODEL, f"{path.relative_to(root).as_posix()!r} is {kind}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
