"""What a store says a version consists of, checked before any of it is written.

A name becomes a path on this machine and a size becomes disk that other pods of the node share, so neither is taken
from a store as it comes. Everything refused here is a verdict on the model, not on the store.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from modelvane_serving.failure import INVALID_MODEL, StartError, one_line

# What Linux takes as one name, and S3 as one key. An error of the file system would come half way through.
NAME_BYTES: Final = 255
PATH_BYTES: Final = 1024
# A listing has no end that one could see; a model has far fewer files.
MAX_ENTRIES: Final = 100_000


@dataclass(frozen=True)
class RemoteFile:
    """One file by its path below the root of the model; the size is None where the store does not say it."""

    path: str
    size: int | None


@dataclass(frozen=True)
class Listing:
    """The files, and the folders that hold them or nothing."""

    files: tuple[RemoteFile, ...]
    folders: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Add up the sizes that are known."""
        return sum(file.size or 0 for file in self.files)


class BadBodyError(Exception):
    """What came is not the file that was listed."""


class Budget:
    """Counts the bytes that were not announced, over all threads, and ends the download at the limit."""

    def __init__(self, limit: int | None, announced: int = 0) -> None:
        self._limit = limit
        self._taken = announced
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Count bytes; a negative number gives back what is downloaded again."""
        with self._lock:
            self._taken += size
            if self._limit is not None and self._taken > self._limit:
                raise too_large(self._limit, f"more than {self._limit} arrived")


def walk(list_folder: Callable[[str], Iterable[Any]]) -> Listing:
    """List every folder below the root; a name is checked before it is asked about."""
    files: list[RemoteFile] = []
    folders: list[str] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in list_folder(folder):
            # Some stores list the folder in itself.
            if entry.path in {".", folder}:
                continue
            check_name(entry.path)
            if entry.is_dir:
                folders.append(entry.path)
                waiting.append(entry.path)
            else:
                files.append(RemoteFile(entry.path, entry.file_size))
            check_count(len(files) + len(folders))
    return Listing(tuple(files), tuple(folders))


def check(listing: Listing, limit: int | None) -> None:
    """Refuse names that cannot all be files of one directory, and more bytes than are allowed."""
    for file in listing.files:
        check_name(file.path)
    _check_collisions([file.path for file in listing.files], listing.folders)
    if limit is not None and listing.size > limit:
        raise too_large(limit, f"its files have {listing.size}")


def check_name(path: str) -> None:
    """Refuse a path that is not the plain name of a file below the root."""
    problem = _name_problem(path)
    if problem is not None:
        raise StartError(INVALID_MODEL, f"the model has a file that is refused: {one_line(repr(path), 200)} {problem}")


def check_count(count: int) -> None:
    """Refuse a listing without end."""
    if count > MAX_ENTRIES:
        raise StartError(INVALID_MODEL, f"the model has more than {MAX_ENTRIES} files and folders")


def too_large(limit: int, found: str) -> StartError:
    """Build the failure of a model that is larger than this pod accepts."""
    return StartError(INVALID_MODEL, f"the model is larger than MODELVANE_MAX_MODEL_BYTES: {found}, allowed {limit}")


def _name_problem(path: str) -> str | None:
    parts = path.split("/")
    if path.startswith("/"):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of its folder"
    if "" in parts or "." in parts:
        return "is not a plain path"
    if not path.isprintable() and any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in path):
        return "has control characters"
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        return "is not text"
    if max(map(len, encoded)) > NAME_BYTES or len(path.encode()) > PATH_BYTES:
        return f"is longer than {NAME_BYTES} bytes in a name or {PATH_BYTES} in all"
    return None


def _check_collisions(files: Sequence[str], folders: Iterable[str]) -> None:
    """Refuse a name that is there twice, or as a file and as a folder: one of the two would be lost, unseen."""
    seen: set[str] = set()
    above = set(folders)
    for path in files:
        if path in seen:
            raise StartError(INVALID_MODEL, f"the model has two files named {path!r}")
        seen.add(path)
        above.update(str(parent) for parent in PurePosixPath(path).parents)
    for path in sorted(seen & above):
        raise StartError(INVALID_MODEL, f"the model has a file and a folder named {path!r}")
