"""Downloads all files of one version into a directory, by the way that its store is best asked.

An MLflow server and S3 are asked by this program itself; every other store by MLflow, which knows them all. Whatever
the way, the names and sizes are checked before anything is written, and the sizes again afterwards.
"""

import importlib
import shutil
from pathlib import Path, PurePosixPath
from types import ModuleType

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from modelvane_serving.failure import FETCH_FAILED, StartError
from modelvane_serving.fetching.http_download import download_http
from modelvane_serving.fetching.listing import BadBodyError, Budget, Listing, check, too_large, walk
from modelvane_serving.manifest import walk_files


def download_model(model_uri: str, into: Path, limit: int | None) -> None:
    """Download into an empty directory; the model has no file if nothing is there afterwards."""
    model = ModelsArtifactRepository(model_uri)
    store = _resolve(model)
    if type(store) is S3ArtifactRepository:
        s3 = _import_s3()
        listing = s3.list_s3(store)
        _prepare(listing, into, limit)
        s3.download_s3(store, listing.files, into)
    elif isinstance(store, HttpArtifactRepository):
        listing = walk(store.list_artifacts)
        _prepare(listing, into, limit)
        download_http(store, listing.files, into, Budget(limit, listing.size))
    else:
        if isinstance(store, LocalArtifactRepository):
            # MLflow would copy what links lead to.
            list(walk_files(Path(store.artifact_dir)))
        listing = walk(store.list_artifacts)
        check(listing, limit)
        _check_space(listing, into)
        model.download_artifacts("", str(into))  # type: ignore[no-untyped-call]
    _check_sizes(listing, into, limit)
    if (into / "MLmodel").is_file():
        # MLflow's client adds the name of the version to what it downloads, and its flavors may read it.
        model._add_registered_model_meta_file(str(into))  # type: ignore[no-untyped-call]


def _resolve(repository: ArtifactRepository) -> ArtifactRepository:
    """Follow a version to where its files are: its source may be one more of MLflow's names for a model."""
    while isinstance(repository, ModelsArtifactRepository):
        repository = repository.repo
    return repository


def _import_s3() -> ModuleType:
    """Import boto3 only where it is used: it takes a quarter of a second."""
    return importlib.import_module("modelvane_serving.fetching.s3_download")


def _prepare(listing: Listing, into: Path, limit: int | None) -> None:
    """Check the listing and make the folders for its files."""
    check(listing, limit)
    _check_space(listing, into)
    folders = {*listing.folders, *(str(PurePosixPath(file.path).parent) for file in listing.files)}
    for folder in folders:
        (into / folder).mkdir(parents=True, exist_ok=True)


def _check_space(listing: Listing, into: Path) -> None:
    """Say it at once when there is no room. That is no fault of the model: another node may have it."""
    free = shutil.disk_usage(into).free
    if listing.size > free:
        raise StartError(FETCH_FAILED, f"the model has {listing.size} bytes, and {free} are free where it is to go")


def _check_sizes(listing: Listing, into: Path, limit: int | None) -> None:
    """Compare what is there with what was listed."""
    total = 0
    for file in listing.files:
        size = (into / file.path).lstat().st_size
        total += size
        if file.size is not None and size != file.size:
            raise BadBodyError(f"file {file.path!r} has {size} bytes, it was listed with {file.size}")
    if limit is not None and total > limit:
        raise too_large(limit, f"its files have {total}")
