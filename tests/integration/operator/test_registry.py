"""The reader against a real MLflow server."""

import requests
from modelvane.engine.state import Absent, Found
from modelvane.registry.reader import Access, Reader, configure
from modelvane.spec import ModelPointer

STAGE = ModelPointer(name="flowers", stage="Production")
ALIAS = ModelPointer(name="flowers", alias="champion")
FIXED = ModelPointer(name="flowers", version="2")
NONE = ModelPointer(name="no-such-model", stage="Production")


def call(uri: str, path: str, **body: object) -> None:
    answer = requests.post(f"{uri}/api/2.0/mlflow/{path}", json=body, timeout=60)
    assert answer.ok, answer.text


def test_pointers_are_followed_and_absences_believed(mlflow_uri: str) -> None:
    configure()
    reader = Reader(Access(mlflow_uri, {}))
    call(mlflow_uri, "registered-models/create", name="flowers")
    wanted = (STAGE, ALIAS, FIXED, NONE)
    known = reader.read(wanted, {})
    assert all(isinstance(resolution, Absent) for resolution in known.values()), known
    for _ in range(2):
        call(mlflow_uri, "model-versions/create", name="flowers", source="s3://bucket/flowers")
    call(mlflow_uri, "model-versions/transition-stage", name="flowers", version="1", stage="Production")
    call(mlflow_uri, "registered-models/alias", name="flowers", alias="champion", version="1")
    known = reader.read(wanted, known)
    assert (known[STAGE], known[ALIAS], known[FIXED]) == (Found("1"), Found("1"), Found("2"))
    assert isinstance(known[NONE], Absent)
    call(mlflow_uri, "model-versions/transition-stage", name="flowers", version="2", stage="Production")
    assert reader.read(wanted, known)[STAGE] == Found("2")
    assert reader.server_version() == "3.17.2"
