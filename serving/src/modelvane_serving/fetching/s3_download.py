"""Downloads a model's files straight from S3, by boto3's own transfers.

They do what is needed: ranges side by side, each asked for again when a connection breaks, and of one version of the
object, by its ETag. What they are not told is that this runs in a small container.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.store.artifact.s3_artifact_repo import BOTO_TO_MLFLOW_ERROR, S3ArtifactRepository
from s3transfer.subscribers import BaseSubscriber

from modelvane_serving.fetching.listing import BadBodyError, Listing, RemoteFile, check_count

MIB: Final = 1024 * 1024
# At most 8 MiB wait for the disk, where boto3's default is 25.
_SMALL: Final = {"max_concurrency": 8, "max_io_queue": 32, "preferred_transfer_client": "classic"}
IN_PARTS: Final = TransferConfig(multipart_threshold=16 * MIB, multipart_chunksize=8 * MIB, **_SMALL)
IN_ONE_PIECE: Final = TransferConfig(multipart_threshold=2**62, **_SMALL)


def list_s3(repository: S3ArtifactRepository) -> Listing:
    """List all objects of the model with one request for each thousand, where MLflow asks about each folder."""
    bucket, prefix = _place(repository)
    client = repository._get_s3_client()  # type: ignore[no-untyped-call]
    files = []
    try:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, **repository._bucket_owner_params
        )
        for page in pages:
            for entry in page.get("Contents", []):
                # Consoles mark a folder by an empty object with a slash at the end.
                if not (entry["Key"].endswith("/") and entry["Size"] == 0):
                    files.append(RemoteFile(entry["Key"].removeprefix(prefix), entry["Size"]))
            check_count(len(files))
    except ClientError as error:
        raise _as_mlflow(error) from error
    return Listing(tuple(files))


def download_s3(repository: S3ArtifactRepository, files: Sequence[RemoteFile], into: Path) -> None:
    """Download the files into a directory that has their folders."""
    try:
        refused = _transfer(repository, files, into, IN_PARTS)
        if refused:
            # It may be that the store gave the whole for each range.
            for error in _transfer(repository, list(refused), into, IN_ONE_PIECE).values():
                raise error
    except ClientError as error:
        raise _as_mlflow(error) from error


def _transfer(
    repository: S3ArtifactRepository, files: Sequence[RemoteFile], into: Path, config: TransferConfig
) -> dict[RemoteFile, BadBodyError]:
    """Transfer side by side and return the files of which something else came than what was listed."""
    bucket, prefix = _place(repository)
    client = repository._get_s3_client()  # type: ignore[no-untyped-call]
    owner = repository._bucket_owner_params
    refused = {}
    with create_transfer_manager(client, config) as manager:
        futures = {
            file: manager.download(bucket, prefix + file.path, str(into / file.path), owner, [_Listed(file, config)])
            for file in files
        }
        for file, future in futures.items():
            try:
                future.result()
            except BadBodyError as error:
                refused[file] = error
    return refused


class _Listed(BaseSubscriber):  # type: ignore[misc]
    """Holds a transfer to what was listed."""

    def __init__(self, file: RemoteFile, config: TransferConfig) -> None:
        self._file = file
        self._in_parts = (file.size or 0) >= config.multipart_threshold
        self._arrived = 0
        self._lock = threading.Lock()

    def on_queued(self, future: Any, **_: Any) -> None:
        """Save the question for size and ETag where there is only one request, whose answer is of one version."""
        if not self._in_parts:
            future.meta.provide_transfer_size(self._file.size)
            future.meta.provide_object_etag("")

    def on_progress(self, bytes_transferred: int, **_: Any) -> None:
        """End it as soon as there is more than there can be. What comes again is taken off before by boto3."""
        with self._lock:
            self._arrived += bytes_transferred
            if self._arrived > (self._file.size or 0):
                raise BadBodyError(
                    f"file {self._file.path!r} has more than the {self._file.size} bytes it was listed with"
                )


def _place(repository: S3ArtifactRepository) -> tuple[str, str]:
    """Read the bucket, and what the keys of the model begin with."""
    bucket, path = repository.parse_s3_compliant_uri(repository.artifact_uri)  # type: ignore[no-untyped-call]
    return bucket, f"{path.rstrip('/')}/" if path else ""


def _as_mlflow(error: ClientError) -> MlflowException:
    """Give the error the code that MLflow's own repository gives it."""
    code = error.response["Error"]["Code"]
    return MlflowException(str(error), error_code=BOTO_TO_MLFLOW_ERROR.get(code, INTERNAL_ERROR))
