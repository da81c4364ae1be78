"""The command line: `modelvane-serving fetch` and `modelvane-serving serve`.

The only place that reads and prepares the environment. Each command's module is imported after that, because MLflow and
prometheus_client look at it when they are imported, and no sooner than it is wanted, because the time from start to
ready is part of every rollout.
"""

import importlib
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Final

from modelvane_serving import mlflow_imports
from modelvane_serving.checks.stable import verify_signature
from modelvane_serving.environment import layer
from modelvane_serving.failure import StartError, write_termination_message
from modelvane_serving.fetched import open_fetched
from modelvane_serving.logs import configure_logging
from modelvane_serving.settings import read_fetch_settings, read_serve_settings
from modelvane_serving.sockets import bind

TERMINATION_LOG: Final = "/dev/termination-log"
USAGE: Final = "usage: modelvane-serving fetch|serve"


def main() -> None:
    """Run one command; what it came to is written where Kubernetes looks for it."""
    if len(sys.argv) != 2 or sys.argv[1] not in {"fetch", "serve"}:
        sys.exit(USAGE)
    # Files of a model are for this user alone, whatever the image's default is.
    os.umask(0o077)
    # The first process of a container ignores SIGTERM unless it asks for it: a pod deleted while its model loads would
    # otherwise wait out its whole grace period.
    signal.signal(signal.SIGTERM, _exit_at_once)
    configure_logging()
    termination_log = Path(os.environ.get("MODELVANE_TERMINATION_LOG", TERMINATION_LOG))
    try:
        if sys.argv[1] == "fetch":
            write_termination_message(run_fetch(), termination_log)
        else:
            run_serve()
    except StartError as failure:
        logging.getLogger("modelvane_serving").error(failure.message, extra={"fields": {"reason": failure.reason}})
        write_termination_message({"reason": failure.reason, "message": failure.message}, termination_log)
        sys.exit(1)


def run_fetch() -> dict[str, str]:
    """Run `fetch` and return what the operator is told: the digest, and how the environment differs if it does."""
    settings = read_fetch_settings(os.environ)
    # MLflow's artifact code takes these from the environment only.
    os.environ["MLFLOW_REGISTRY_URI"] = settings.registry_uri
    os.environ.setdefault("MLFLOW_TRACKING_URI", settings.registry_uri)
    mlflow_imports.prepare(data_libraries=False)
    told = {"digest": importlib.import_module("modelvane_serving.fetching.fetch").fetch(settings)}
    if settings.environment is None:
        return told
    cache = importlib.import_module("modelvane_serving.fetching.node_cache").NodeCache(
        settings.cache_dir, settings.cache_max_bytes
    )
    prepare_environment = importlib.import_module("modelvane_serving.environment.provision").prepare_environment
    differs = prepare_environment(settings.model_dir, settings.environment, cache)
    return {**told, "environment": differs} if differs else told


def run_serve() -> None:
    """Run `serve`."""
    settings = read_serve_settings(os.environ)
    listener = bind(settings.host, settings.port)
    fetched = open_fetched(settings.model_dir)
    if settings.verify_signature:
        verify_signature(fetched, settings)
    if settings.workers > 1:
        # prometheus_client looks for it when it is imported, and then counts in files that all workers can read.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="modelvane-metrics-")
    # The libraries below a model take all CPUs of the machine unless they are told which are ours.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(settings.threads))
    # Byte code of the model's own modules would lie among its files, where the next start finds what was not fetched.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    layer.activate(settings.model_dir)
    mlflow_imports.prepare(data_libraries=True)
    importlib.import_module("modelvane_serving.serve").serve(settings, listener, fetched)


def _exit_at_once(_signal: int, _frame: FrameType | None) -> None:
    # 128 + 15, as a shell reports it. Not sys.exit: a model's own loading code may catch SystemExit.
    os._exit(143)


if __name__ == "__main__":
    main()
