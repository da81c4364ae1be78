"""Reads the signature of the stable version from the registry while the candidate is downloaded.

A help, never a condition: it may fail, and it may not make a pod's start noticeably longer. So it runs in a process of
its own, which can be ended at any moment; a thread that waits for a dead store would keep the program from ending.
"""

import logging
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

from modelvane_serving.checks.stable import STABLE_FILE, write_stable
from modelvane_serving.failure import explain
from modelvane_serving.mlmodel import read_mlmodel
from modelvane_serving.settings import FetchSettings

_log = logging.getLogger(__name__)

SECONDS: Final = 10.0


@contextmanager
def reading_stable_signature(settings: FetchSettings) -> Iterator[None]:
    """Read it beside what is done in the block; wait for it afterwards, until ten seconds have gone since the start."""
    # From an earlier run of this container.
    (settings.model_dir / STABLE_FILE).unlink(missing_ok=True)
    if settings.stable_model_uri is None:
        yield
        return
    # A fork, because a fresh interpreter would import MLflow again. It makes connections of its own: MLflow keeps its
    # sessions by process id.
    arguments = (settings.model_dir, settings.stable_model_uri)
    process = multiprocessing.get_context("fork").Process(target=_read, args=arguments)
    deadline = time.monotonic() + SECONDS
    process.start()
    try:
        yield
        process.join(max(0.0, deadline - time.monotonic()))
        if process.exitcode is None:
            _log.warning(
                "the signature of the stable version is not compared: it could not be read in time",
                extra={"fields": {"stable": settings.stable_model_uri, "seconds": SECONDS}},
            )
    finally:
        process.kill()
        process.join()


def _read(model_dir: Path, model_uri: str) -> None:
    """Download only the MLmodel file, by the way that the model itself comes."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            ModelsArtifactRepository(model_uri).download_artifacts("MLmodel", folder)  # type: ignore[no-untyped-call]
            signature = read_mlmodel(Path(folder)).signature
        write_stable(model_dir, model_uri, signature)
    except Exception as error:
        _log.warning(
            "the signature of the stable version is not compared: it cannot be read",
            extra={"fields": {"stable": model_uri, "error": explain(error)}},
        )
