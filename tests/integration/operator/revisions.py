"""Two revisions of real serving processes on one port, as the analyst sees them: each pod has an address of its own."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from modelvane.engine.state import Key, Pod, Workload
from modelvane.spec import Analysis
from modelvane_serving.manifest import ARTIFACTS_DIR

from tests.serving import processes
from tests.serving.processes import Server

with warnings.catch_warnings():
    # What MLflow warns of when it is imported is its own.
    warnings.simplefilter("ignore")
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    from tests.serving import train

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
KEY = Key("ModelDeployment", "shop", "iris")


def save_workbench(folder: Path, *, example: bool = True) -> Path:
    """Save the model that does what it is asked, with an input example or without."""
    with quiet():
        if example:
            train.save_workbench(folder)
        else:
            train.save_script(folder, "workbench")
    return folder


def save_iris(folder: Path, strength: float) -> Any:
    """Save a classifier; a strongly regularised one answers a little differently."""
    features, target = train.iris()
    with quiet():
        model = LogisticRegression(C=strength, max_iter=500).fit(features, target)
        mlflow.sklearn.save_model(
            model,
            str(folder / ARTIFACTS_DIR),
            signature=infer_signature(features, model.predict(features)),
            input_example=features.head(3),
            pip_requirements=[],
        )
    train.finish(folder)
    return model


def rows_of_iris() -> list[bytes]:
    """Write all flowers as recorded inputs, ten in each request."""
    features, _ = train.iris()
    columns, rows = list(features.columns), features.to_numpy().tolist()
    tens = (rows[start : start + 10] for start in range(0, len(rows), 10))
    return [json.dumps({"dataframe_split": {"columns": columns, "data": ten}}).encode() for ten in tens]


@contextmanager
def quiet() -> Iterator[None]:
    """Let training libraries warn of what is theirs; the programs under test run in processes of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass
class Pods:
    """The servers: stable is version 3 with one pod, the candidate version 4 with two."""

    port: int
    stable: Server
    candidates: tuple[Server, Server]

    @property
    def servers(self) -> tuple[Server, ...]:
        return (self.stable, *self.candidates)


def start(folder: Path, port: int, host: str, version: str, **settings: str) -> Server:
    return processes.start(
        folder,
        **settings,
        MODELVANE_HOST=host,
        MODELVANE_PORT=str(port),
        MODELVANE_MODEL_NAME="iris",
        MODELVANE_MODEL_VERSION=version,
        MODELVANE_REVISION=f"v{version}-0a1b2c3d",
    )


def workload(version: str, *servers: Server | str, ready_since: datetime = LONG_AGO) -> Workload:
    hosts = [server if isinstance(server, str) else server.host for server in servers]
    revision = f"v{version}-0a1b2c3d"
    return Workload(
        name=f"iris-{revision}",
        version=version,
        revision=revision,
        uid=f"uid-{version}",
        resource_version="1",
        replicas=len(hosts),
        created=LONG_AGO,
        pods=tuple(Pod(f"iris-{revision}-{host}", ready_since=ready_since, ip=host) for host in hosts),
    )


def analysis(**fields: Any) -> Analysis:
    return Analysis.model_validate({"minRequests": 1, **fields})


def ask(server: Server, times: int, **params: Any) -> list[int]:
    """Ask the workbench for predictions and return the status codes."""
    body = {"inputs": {"x": [1.0, 2.0]}, "params": params}
    return [server.post("/invocations", body).status_code for _ in range(times)]
