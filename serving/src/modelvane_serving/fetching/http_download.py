"""Downloads a model's files from an MLflow server, or by its links from the store behind it.

Files come side by side, and large ones in ranges, if the server answers ranges of one unchanged file: one that keeps
the files itself does. One that has them in a store fetches the whole file for each request, and calls it by another
ETag every time; from that one each file comes in one piece.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import requests
from mlflow.environment_variables import (
    MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_S3_IGNORE_TLS,
)
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.utils.request_utils import augmented_raise_for_status, cloud_storage_http_request
from mlflow.utils.rest_utils import http_request

from modelvane_serving.failure import explain
from modelvane_serving.fetching.listing import Budget, RemoteFile
from modelvane_serving.fetching.transfer import Context, Open, RangeRefusedError, Transfer, strong_etag

_log = logging.getLogger(__name__)

# Each takes a thread of the MLflow server, which has few, and a rollout is many pods.
CONNECTIONS: Final = 4
PART_BYTES: Final = 32 * 1024 * 1024
# A server with a store behind it has the whole file before it answers with the first byte.
STORE_BYTES_PER_SECOND: Final = 20 * 1024 * 1024


def download_http(repository: HttpArtifactRepository, files: Sequence[RemoteFile], into: Path, budget: Budget) -> None:
    """Download the files into a directory that has their folders, or raise what the first one failed of."""
    by_link = bool(_told(MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD))
    opener: Open = _ByLink(repository) if by_link else _ThroughServer(repository)
    context = Context(opener, into, budget, threading.Event())
    # The longest first, so that it is not what all the others are waited for with.
    files = sorted(files, key=_size, reverse=True)
    large = [file for file in files if _size(file) >= 2 * PART_BYTES]
    etags = _etags(context, large) if large and (by_link or _answers_ranges(context, files)) else {}
    refused: set[RemoteFile] = set()

    def bring_part(file: RemoteFile, start: int) -> None:
        if file not in refused:
            try:
                Transfer(context, file, start=start, end=min(start + PART_BYTES, _size(file)), etag=etags[file]).run()
            except RangeRefusedError:
                refused.add(file)

    def bring(file: RemoteFile) -> list[Callable[[], None]]:
        if file in etags:
            return [partial(bring_part, file, start) for start in range(0, _size(file), PART_BYTES)]
        return [Transfer(context, file).run]

    _together(context, [job for file in files for job in bring(file)])
    _together(context, [Transfer(context, file).run for file in refused])


def _together(context: Context, jobs: Sequence[Callable[[], None]]) -> None:
    """Do jobs side by side; the first that fails ends the others."""
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="download") as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            context.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _answers_ranges(context: Context, files: Sequence[RemoteFile]) -> bool:
    """Find out by the smallest file whether an ETag lasts from one request to the next."""
    smallest = min((file for file in files if file.size), key=_size)
    etag = _etag(context, smallest, {})
    return etag is not None and _etag(context, smallest, {"If-Range": etag}) == etag


def _etags(context: Context, files: Sequence[RemoteFile]) -> dict[RemoteFile, str]:
    """Ask for the ETags of those files that the server gives ranges of."""
    etags = {file: _etag(context, file, {}) for file in files}
    return {file: etag for file, etag in etags.items() if etag is not None}


def _etag(context: Context, file: RemoteFile, headers: Mapping[str, str]) -> str | None:
    """Ask for one byte, which is what a HEAD would be if every store answered it."""
    headers = {"Accept-Encoding": "identity", "Range": "bytes=0-0", **headers}
    with closing(context.open(file, headers)) as response:
        augmented_raise_for_status(response)  # type: ignore[no-untyped-call]
        return strong_etag(response) if response.status_code == 206 else None


def _told(variable: Any) -> Any:
    """Read one of MLflow's settings, which it does not type."""
    return variable.get()


def _size(file: RemoteFile) -> int:
    return file.size or 0


class _ThroughServer:
    """Asks the MLflow server, with the credentials, workspace and TLS settings of MLflow's own client."""

    def __init__(self, repository: HttpArtifactRepository) -> None:
        self._repository = repository

    def __call__(self, file: RemoteFile, headers: Mapping[str, str]) -> requests.Response:
        """Begin one answer. A server that is down or busy is asked again by MLflow, as often as it is told to."""
        seconds = _told(MLFLOW_HTTP_REQUEST_TIMEOUT)
        response: requests.Response = http_request(  # type: ignore[no-untyped-call]
            self._repository._host_creds,
            "/" + quote(file.path),
            "GET",
            extra_headers=dict(headers),
            stream=True,
            timeout=(seconds, seconds + _size(file) // STORE_BYTES_PER_SECOND),
        )
        return response


class _ByLink:
    """Asks the store behind the server, by links that the server signs; through the server when they lead nowhere."""

    def __init__(self, repository: HttpArtifactRepository) -> None:
        self._repository = repository
        self._server = _ThroughServer(repository)
        self._links_work = True

    def __call__(self, file: RemoteFile, headers: Mapping[str, str]) -> requests.Response:
        """Begin one answer, with a link of its own: links expire."""
        if self._links_work:
            try:
                return self._follow(file, headers)
            except requests.RequestException as error:
                self._links_work = False
                fields = {"file": file.path, "error": explain(error)}
                _log.warning("links into the store lead nowhere: through the server", extra={"fields": fields})
        return self._server(file, headers)

    def _follow(self, file: RemoteFile, headers: Mapping[str, str]) -> requests.Response:
        link = self._repository._get_presigned_download_url(file.path)  # type: ignore[no-untyped-call]
        response: requests.Response = cloud_storage_http_request(  # type: ignore[no-untyped-call]
            "get",
            link.url,
            max_retries=1,
            headers={**link.headers, **headers},
            stream=True,
            timeout=(5, _told(MLFLOW_HTTP_REQUEST_TIMEOUT)),
            verify=not _told(MLFLOW_S3_IGNORE_TLS),
        )
        if response.status_code != 416:
            augmented_raise_for_status(response)  # type: ignore[no-untyped-call]
        return response
