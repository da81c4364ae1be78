"""Brings one body of HTTP, a file or a range of it, onto disk, over as many connections as it takes.

What is in the end on disk is one version of the file, whole: its length is known beforehand, and the bytes of two
answers are joined only under one strong ETag. Without one, a broken connection means to begin again.
"""

import logging
import os
import random
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import requests
from mlflow.utils.request_utils import augmented_raise_for_status

from modelvane_serving.failure import explain
from modelvane_serving.fetching.listing import BadBodyError, Budget, RemoteFile

_log = logging.getLogger(__name__)

# What is lost of a connection that breaks, at most.
CHUNK_BYTES: Final = 256 * 1024
# How often in a row a connection may break without having brought as much.
ATTEMPTS: Final = 5

# Begins one answer for a file, with these headers in the request.
Open = Callable[[RemoteFile, Mapping[str, str]], requests.Response]


class RangeRefusedError(Exception):
    """The server does not give this range of the file that the other ranges are of."""


class StoppedError(Exception):
    """Another file failed, so this one is of no use."""


class _BrokenOffError(Exception):
    """The answer ended before the file did, or what is left of it cannot be asked for."""


_BROKEN: Final = (_BrokenOffError, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True)
class Context:
    """What the transfers of one model have in common."""

    open: Open
    into: Path
    budget: Budget
    stop: threading.Event


class Transfer:
    """One file, or with an end one range of it, which is then only taken under the ETag."""

    def __init__(
        self, context: Context, file: RemoteFile, *, start: int = 0, end: int | None = None, etag: str | None = None
    ) -> None:
        self.etag = etag
        self._context = context
        self._file = file
        self._at = start
        self._end = end

    def run(self) -> None:
        """Bring it, or raise why it cannot be brought."""
        # Not following a link: the directory is the program's own, and nothing else has a business in it.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._context.into / self._file.path, flags, 0o600)
        try:
            self._insist(descriptor)
        finally:
            os.close(descriptor)

    def _insist(self, descriptor: int) -> None:
        furthest, breaks = self._at, 0
        while True:
            try:
                self._receive(descriptor)
                return
            except _BROKEN as error:
                if self._at >= furthest + CHUNK_BYTES:
                    furthest, breaks = self._at, 0
                breaks += 1
                if breaks == ATTEMPTS:
                    raise
                fields = {"file": self._file.path, "at": self._at, "attempt": breaks, "error": explain(error)}
                _log.warning("a download broke off and is taken up again", extra={"fields": fields})
            self._context.stop.wait(random.uniform(0.5, 1) * 2 ** (breaks - 2))  # noqa: S311 - to spread pods

    def _receive(self, descriptor: int) -> None:
        if self._context.stop.is_set():
            raise StoppedError
        if self._end is None and self.etag is None:
            self._begin_again(descriptor)
        with closing(self._context.open(self._file, self._headers())) as response:
            expected = self._expected_end(response, descriptor)
            for chunk in response.iter_content(CHUNK_BYTES):
                if self._context.stop.is_set():
                    raise StoppedError
                if expected is not None and self._at + len(chunk) > expected:
                    raise BadBodyError(
                        f"file {self._file.path!r} has more than the {expected} bytes it was said to have"
                    )
                self._count(len(chunk))
                _write(descriptor, chunk, self._at)
                self._at += len(chunk)
        if expected is not None and self._at < expected:
            raise _BrokenOffError(f"file {self._file.path!r} ended at {self._at} of {expected} bytes")

    def _headers(self) -> dict[str, str]:
        # A proxy that compresses would change the length, the ETag and what a range is.
        headers = {"Accept-Encoding": "identity"}
        if self._end is not None:
            headers["Range"] = f"bytes={self._at}-{self._end - 1}"
        elif self._at:
            headers["Range"] = f"bytes={self._at}-"
        if "Range" in headers and self.etag is not None:
            headers["If-Range"] = self.etag
        return headers

    def _expected_end(self, response: requests.Response, descriptor: int) -> int | None:
        """Decide what the answer is a part of, and where in the file it must end; None if nobody says."""
        if response.status_code == 206:
            self._check_range(response)
            whole = self._size(content_range(response).total)
            return self._end or whole
        if self._end is not None:
            raise RangeRefusedError
        self._begin_again(descriptor)
        if response.status_code == 416:
            raise _BrokenOffError(f"file {self._file.path!r} is not longer than what is there of it")
        augmented_raise_for_status(response)  # type: ignore[no-untyped-call]
        self.etag = strong_etag(response)
        return self._size(_content_length(response))

    def _size(self, said: int | None) -> int | None:
        listed = self._file.size
        if said is not None and listed is not None and said != listed:
            raise BadBodyError(f"file {self._file.path!r} has {said} bytes, it was listed with {listed}")
        return said if listed is None else listed

    def _check_range(self, response: requests.Response) -> None:
        if content_range(response).start == self._at and strong_etag(response) == self.etag:
            return
        if self._end is not None:
            raise RangeRefusedError
        self.etag = None
        raise _BrokenOffError(f"file {self._file.path!r} changed while it was downloaded")

    def _begin_again(self, descriptor: int) -> None:
        self._count(-self._at)
        self._at = 0
        self.etag = None
        os.ftruncate(descriptor, 0)

    def _count(self, size: int) -> None:
        # What has a size is held to it, and was counted as it was listed.
        if self._file.size is None:
            self._context.budget.take(size)


class Range(NamedTuple):
    """What Content-Range says, as far as it says it."""

    start: int | None
    total: int | None


def content_range(response: requests.Response) -> Range:
    """Read where in the file an answer begins, and how long the file is."""
    said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if said is None:
        return Range(None, None)
    return Range(int(said[1]), None if said[2] == "*" else int(said[2]))


def strong_etag(response: requests.Response) -> str | None:
    """Read the ETag that stands for the very bytes; a weak one, or that of a compressed answer, does not."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') and not _encoded(response) else None


def _content_length(response: requests.Response) -> int | None:
    said = response.headers.get("Content-Length", "")
    return int(said) if said.isdecimal() and not _encoded(response) else None


def _encoded(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity") != "identity"


def _write(descriptor: int, chunk: bytes, at: int) -> None:
    rest = memoryview(chunk)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written
