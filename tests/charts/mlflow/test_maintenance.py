"""The CronJobs: copies of the database and the way back, and the removal of what was deleted."""

from typing import Any

import pytest

from tests.charts import helm
from tests.charts.mlflow.test_scripts import load
from tests.charts.mlflow.test_server import EMBEDDED, EXTERNAL, environment, render, secret_key

backup = load("backup")
BACKUP: dict[str, Any] = {"backup": {"schedule": "15 3 * * *", "destination": "s3://safe/mlflow", "keep": 7}}
GC: dict[str, Any] = {"gc": {"schedule": "@weekly", "olderThan": "90d"}}


def cron_job(values: dict[str, Any], name: str, **stores: Any) -> helm.Manifest:
    return helm.one(render({**(stores or EXTERNAL), **values}), "CronJob", f"mlflow-{name}")


def steps(job: helm.Manifest) -> list[helm.Manifest]:
    return helm.containers(job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_nothing_is_scheduled_by_default() -> None:
    assert [item for item in render(EXTERNAL) if item["kind"] == "CronJob"] == []


def test_a_copy_is_dumped_and_then_saved() -> None:
    job = cron_job(BACKUP, "backup")
    assert (job["spec"]["schedule"], job["spec"]["suspend"]) == ("15 3 * * *", False)
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    dump, save = steps(job)
    assert (dump["image"], dump["command"][2].split()[:2]) == ("docker.io/library/postgres:18.6", ["exec", "pg_dump"])
    assert environment(dump)["PGPASSWORD"] == secret_key("stores", "POSTGRES_PASSWORD")
    assert save["command"] == ["python", "/scripts/backup.py", "save", "/work/mlflow.dump"]
    found = environment(save)
    assert (found["BACKUP_DESTINATION"], found["BACKUP_KEEP"]) == ("s3://safe/mlflow", "7")
    assert found["AWS_SECRET_ACCESS_KEY"] == secret_key("stores", "AWS_SECRET_ACCESS_KEY")
    # Who holds the keys of the bucket has none of the database, and the other way round.
    assert "PGPASSWORD" not in found
    assert "AWS_SECRET_ACCESS_KEY" not in environment(dump)


def test_a_restore_waits_to_be_started_and_goes_the_other_way() -> None:
    job = cron_job({"backup": {**BACKUP["backup"], "restore": "mlflow-20261201T031500Z.dump"}}, "restore")
    assert job["spec"]["suspend"] is True
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    fetch, loaded = steps(job)
    assert fetch["command"] == ["python", "/scripts/backup.py", "fetch", "/work/mlflow.dump"]
    assert environment(fetch)["BACKUP_NAME"] == "mlflow-20261201T031500Z.dump"
    assert {"--single-transaction", "--exit-on-error", "--clean"} <= set(loaded["command"][2].split())


def test_what_was_deleted_is_removed_from_both_stores() -> None:
    (container,) = steps(cron_job(GC, "gc", **EMBEDDED))
    assert container["command"] == ["mlflow", "gc", "--older-than", "90d"]
    found = environment(container)
    assert found["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert found["PGHOST"] == "mlflow-postgresql"
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == secret_key("mlflow-embedded", "MLFLOW_S3_ARTIFACT_ROOT")


def test_they_trust_the_same_certificates_as_the_server() -> None:
    values = {
        **BACKUP,
        **GC,
        "tls": {"secretName": "server-tls"},
        "database": {"host": "db", "caSecret": "db-ca"},
        "artifacts": {"caSecret": "s3-ca"},
    }
    dump, save = steps(cron_job(values, "backup", existingSecret="stores"))
    (gc,) = steps(cron_job(values, "gc", existingSecret="stores"))
    assert environment(gc)["MLFLOW_TRACKING_SERVER_CERT_PATH"] == "/tls/ca.crt"
    trusted = ((dump, {"/database-ca"}), (save, {"/artifacts-ca"}), (gc, {"/database-ca", "/artifacts-ca", "/tls"}))
    for container, paths in trusted:
        assert paths <= {mount["mountPath"] for mount in container["volumeMounts"]}


def test_nothing_starts_while_the_server_is_stopped() -> None:
    jobs = [item for item in render({**EXTERNAL, **BACKUP, **GC, "stopped": True}) if item["kind"] == "CronJob"]
    assert {job["metadata"]["name"]: job["spec"]["suspend"] for job in jobs} == dict.fromkeys(
        ("mlflow-backup", "mlflow-restore", "mlflow-gc"), True
    )


def test_pods_take_the_identity_of_the_cloud_where_the_server_does() -> None:
    artifacts = {"workloadIdentity": True, "root": "s3://models/mlflow"}
    for name in ("backup", "restore", "gc"):
        job = cron_job({**BACKUP, **GC, "artifacts": artifacts}, name)
        assert job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] == "mlflow"


@pytest.mark.parametrize(
    ("destination", "root", "apart"),
    [
        ("s3://safe/copies", "s3://models/artifacts", True),
        ("s3://models/backups", "s3://models/artifacts", True),
        ("s3://models/artifacts-backups", "s3://models/artifacts", True),
        ("s3://models/artifacts/backups", "s3://models/artifacts", False),
        ("s3://models/artifacts", "s3://models/artifacts/", False),
        ("s3://models/backups", "s3://models", False),
    ],
)
def test_copies_never_lie_where_clients_can_read_them(destination: str, root: str, apart: bool) -> None:
    if apart:
        backup.check_apart(destination, root)
    else:
        with pytest.raises(backup.BackupError, match="lies below the artifact root"):
            backup.check_apart(destination, root)


def test_copies_are_told_from_whatever_else_is_there() -> None:
    keys = ["b/mlflow-20261201T031500Z.dump", "b/mlflow-20261202T031500Z.dump", "b/notes.txt", "b/old/mlflow-1.dump"]
    copies = backup.find_copies(keys, "b/")
    assert copies == ["mlflow-20261202T031500Z.dump", "mlflow-20261201T031500Z.dump"]
    assert backup.choose(copies, "") == copies[0]
    assert backup.choose(copies, copies[1]) == copies[1]
    with pytest.raises(backup.BackupError, match=r"there are only mlflow-20261202T031500Z\.dump, mlflow-20261201"):
        backup.choose(copies, "mlflow-20250101T000000Z.dump")
    with pytest.raises(backup.BackupError, match="there is no copy"):
        backup.choose([], "")
