"""The migration Job is another Job exactly when it would do something else, and never a Job that cannot be edited."""

from typing import Any

import pytest

from tests.charts import helm

VALUES: dict[str, Any] = {"existingSecret": "stores", "database": {"host": "db"}}


def job(values: dict[str, Any]) -> helm.Manifest:
    objects = helm.manifests("mlflow", VALUES | values, release="mlflow")
    return helm.one(objects, "Job")


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"tag": "3.18.0"}},
        {"image": {"repository": "registry.example.com/mlflow"}},
        {"database": {"host": "other"}},
        {"database": {"host": "db", "port": 6432}},
        {"database": {"host": "db", "name": "other"}},
        {"existingSecret": "other"},
        {"migration": {"resources": {"limits": {"memory": "2Gi"}}}},
    ],
    ids=str,
)
def test_another_image_database_or_pod_is_another_job(values: dict[str, Any]) -> None:
    assert job(values)["metadata"]["name"] != job({})["metadata"]["name"]


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 3},
        {"workers": 1},
        {"allowedHosts": ["mlflow.example.com"]},
        {"artifacts": {"region": "eu-west-1"}},
        {"resources": {"limits": {"memory": "4Gi"}}},
        {"service": {"port": 80}},
        {"podLabels": {"team": "ml"}},
        {"extraEnv": [{"name": "A", "value": "b"}]},
    ],
    ids=str,
)
def test_other_values_leave_the_job_as_it_is(values: dict[str, Any]) -> None:
    assert job(values) == job({})


def test_job_is_no_hook_and_stays_when_done() -> None:
    found = job({})
    assert "annotations" not in found["metadata"]
    assert "ttlSecondsAfterFinished" not in found["spec"]


def test_job_gives_up_only_when_the_script_says_so() -> None:
    rule = job({})["spec"]["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {"containerName": "migrate", "operator": "In", "values": [3]}


def test_servers_wait_for_the_schema_with_the_image_they_run() -> None:
    objects = helm.manifests("mlflow", VALUES, release="mlflow")
    pod = helm.one(objects, "Deployment")["spec"]["template"]["spec"]
    (wait,) = pod["initContainers"]
    assert wait["image"] == pod["containers"][0]["image"]
    assert wait["command"] == ["python", "/scripts/schema.py", "wait"]
