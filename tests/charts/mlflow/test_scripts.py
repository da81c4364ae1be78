"""The scripts that the chart carries into its pods: what they decide, without a database or a cluster."""

import importlib.util
import pathlib
from types import ModuleType

import mlflow
import pytest
from alembic.script import ScriptDirectory

from tests.charts import helm


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, helm.CHARTS / "mlflow" / "files" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


schema = load("schema")
make_secret = load("make_secret")
MIGRATIONS = schema.Migrations(frozenset({"first", "second", "head"}), "head")


@pytest.mark.parametrize(
    ("revision", "tables", "state"),
    [
        (None, set(), "EMPTY"),
        (None, {"alembic_version"}, "EMPTY"),
        (None, {"experiments", "runs", "metrics"}, "BEHIND"),
        (None, {"customers"}, "FOREIGN"),
        ("first", {"alembic_version", "runs"}, "BEHIND"),
        ("head", {"alembic_version", "runs"}, "CURRENT"),
        ("future", {"alembic_version", "runs"}, "NEWER"),
    ],
)
def test_database_is_told_from_its_revision_and_tables(revision: str | None, tables: set[str], state: str) -> None:
    assert schema.compare(revision, tables, MIGRATIONS) is schema.State[state]


@pytest.mark.parametrize("state", ["EMPTY", "BEHIND", "CURRENT"])
def test_database_that_a_migration_can_help_is_not_given_up(state: str) -> None:
    schema.stop_if_hopeless(schema.State[state], "first", "3.17.2")


def test_newer_database_is_given_up_with_both_sides_named() -> None:
    with pytest.raises(
        schema.HopelessError, match=r"revision abc, which MLflow 3\.17\.2 does not know: a newer MLflow"
    ):
        schema.stop_if_hopeless(schema.State.NEWER, "abc", "3.17.2")


def test_foreign_database_is_given_up() -> None:
    with pytest.raises(schema.HopelessError, match="Give MLflow a database of its own"):
        schema.stop_if_hopeless(schema.State.FOREIGN, None, "3.17.2")


def test_revisions_read_from_the_files_are_those_that_alembic_knows() -> None:
    folder = pathlib.Path(mlflow.__file__).parent / "store" / "db_migrations"
    known = ScriptDirectory(str(folder))
    found = schema.read_migrations(folder / "versions")
    assert found.known == {script.revision for script in known.walk_revisions()}
    assert [found.head] == known.get_heads()


def test_two_last_revisions_are_given_up(tmp_path: pathlib.Path) -> None:
    for name, before in (("a", "None"), ("b", "'a'"), ("c", "'a'")):
        (tmp_path / f"{name}.py").write_text(f"revision = {name!r}\ndown_revision = {before}\n")
    with pytest.raises(schema.HopelessError, match=r"found \['b', 'c'\]"):
        schema.read_migrations(tmp_path)


def test_same_message_is_told_once_until_time_has_passed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(schema.time, "monotonic", lambda: now)
    tell = schema.Teller()
    tell("waiting")
    tell("waiting")
    tell("ready")
    now += schema.TELL_EVERY_SECONDS
    tell("ready")
    assert capsys.readouterr().out.split() == ["waiting", "ready", "ready"]


def test_secret_has_the_five_keys_and_new_passwords_each_time() -> None:
    first, second = (make_secret.build_secret("mlflow-embedded", "mlflow", "models") for _ in range(2))
    assert first["metadata"]["name"] == "mlflow-embedded"
    assert first["stringData"].keys() == {
        "POSTGRES_USER",
        "POSTGRES_PASSWORD",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_S3_ARTIFACT_ROOT",
    }
    assert first["stringData"]["MLFLOW_S3_ARTIFACT_ROOT"] == "s3://models/artifacts"
    for key in ("POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        assert first["stringData"][key] != second["stringData"][key]
        assert len(first["stringData"][key]) >= 24
