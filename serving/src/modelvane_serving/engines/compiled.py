"""The compiled engine: starts the compiler where there is no outcome yet, and runs what it made."""

import hashlib
import importlib.metadata
import logging
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from modelvane_serving.engines import COMPILED, Engine
from modelvane_serving.engines.limits import Limits
from modelvane_serving.engines.outcome import MODEL_FILE, read_outcome, write_outcome
from modelvane_serving.engines.session import open_session
from modelvane_serving.formats.tables import Array, Table, TablePlan

_log = logging.getLogger(__name__)

# What decides what the compiler makes of the same files.
MAKERS: Final = (
    *("modelvane-serving", "onnxruntime", "onnx", "skl2onnx", "onnxmltools"),
    *("scikit-learn", "xgboost-cpu", "lightgbm"),
)


class NotCompiledError(Exception):
    """Says why the model is not served compiled."""


def compile_engine(artifacts: Path, digest: str, plan: TablePlan, *, threads: int, seconds: float) -> Engine:
    """Load the compiled model, made now or by an earlier start on the same files. Raises NotCompiledError."""
    directory = _directory(digest)
    outcome = read_outcome(directory) or _compile(artifacts, directory, seconds)
    if "answer" not in outcome:
        raise NotCompiledError(outcome["reason"])
    try:
        run = _load(directory / MODEL_FILE, outcome, threads)
    except Exception as error:
        raise NotCompiledError(f"ONNX Runtime did not load it: {type(error).__name__}") from None
    limits = Limits.from_dict(outcome["limits"])

    def predict(table: Table) -> Array:
        if table.matrix is None:
            raise TypeError("a compiled model takes numbers")
        return run(table.matrix)

    return Engine(
        name=COMPILED,
        predict=predict,
        plan=plan,
        row_wise=True,
        limits=limits,
        details={"form": outcome["form"], "checked_rows": outcome["rows"], "seconds": outcome["seconds"]},
    )


def _directory(digest: str) -> Path:
    """Return where the outcome for these files, made by these libraries, is kept: as long as the pod is there."""
    versions = " ".join(f"{name}={_version(name)}" for name in MAKERS)
    key = hashlib.sha256(f"{digest} {versions}".encode()).hexdigest()[:32]
    default = Path(tempfile.gettempdir(), f"modelvane-compiled-{os.getuid()}")
    root = Path(os.environ.get("MODELVANE_COMPILED_DIR") or default)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = root.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        # Whoever writes there would choose what is served.
        raise NotCompiledError(f"{root} can be written by others")
    directory = root / key
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _compile(artifacts: Path, directory: Path, seconds: float) -> dict[str, Any]:
    """Run the compiler for at most so long. If the whole container dies of it, the next start does not try again."""
    unfinished = {"reason": "an earlier attempt to compile it did not end", "seconds": 0}
    write_outcome(directory, unfinished)
    started = time.monotonic()
    command = [sys.executable, "-m", "modelvane_serving.engines.compiler", str(artifacts), str(directory)]
    reason = None
    try:
        done = subprocess.run(command, timeout=seconds, check=False, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            reason = f"the compiler ended with code {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"compiling it took longer than {seconds:g} s"
    except OSError as error:
        reason = f"the compiler did not start: {error.strerror}"
    if reason is not None:
        write_outcome(directory, {"reason": reason, "seconds": seconds})
    outcome = read_outcome(directory) or {"reason": "the compiler left no outcome", "seconds": 0}
    fields: dict[str, Any] = {key: outcome[key] for key in ("form", "reason") if key in outcome}
    fields["seconds"] = round(time.monotonic() - started, 3)
    _log.info("model compiled" if "answer" in outcome else "model not compiled", extra={"fields": fields})
    return outcome


def _load(path: Path, outcome: dict[str, Any], threads: int) -> Callable[[Array], Array]:
    session = open_session(path, threads)
    name = session.get_inputs()[0].name
    dtype, wanted = np.dtype(outcome["input"]), np.dtype(outcome["answer"]["dtype"])
    shape = outcome["answer"]["shape"]

    def run(matrix: Array) -> Array:
        answer: Array = session.run(None, {name: matrix.astype(dtype, copy=False)})[0]
        if answer.ndim != len(shape):
            answer = answer.reshape(shape)
        return answer if answer.dtype == wanted or wanted.kind in "OUS" else answer.astype(wanted)

    return run
