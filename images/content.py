"""The content of an image's inputs, and the tag made from it. Pure but for reading files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LEFTOVERS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True)
class File:
    """A file as a build sees it. Owner and times are left out: a fresh clone has others."""

    data: bytes
    executable: bool = False

    @classmethod
    def read(cls, path: Path) -> File:
        """Read a file from disk."""
        return cls(path.read_bytes(), os.access(path, os.X_OK))


def read_folder(folder: Path, prefix: str = "") -> dict[str, File]:
    """Return the files below a folder, without what Python and its tools leave behind."""
    return {
        prefix + path.relative_to(folder).as_posix(): File.read(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _LEFTOVERS.intersection(path.parts)
    }


def write_context(files: Mapping[str, File], folder: Path) -> None:
    """Lay out the files of a context."""
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(0o755 if file.executable else 0o644)


def hash_of(files: Mapping[str, File], facts: Mapping[str, str]) -> str:
    """Return 12 hex digits that change when and only when a file or a fact does.

    Names and lengths are hashed too, so that no two sets of inputs run together to the same bytes.
    """
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"file {name!r} {file.executable} {len(file.data)}\n".encode())
        digest.update(file.data)
    for name, value in sorted(facts.items()):
        digest.update(f"fact {name!r} {value!r}\n".encode())
    return digest.hexdigest()[:12]
