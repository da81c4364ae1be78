"""Bring the database to the schema that this image's MLflow expects, or wait until somebody has.

`schema.py upgrade` is the migration Job; `schema.py wait` is the init container of every server pod, so that no server
starts on a schema that is not its own and replicas never create tables at once. The database is named by libpq's
environment (PGHOST, PGUSER, PGPASSWORD, ...), or by a whole URI in MLFLOW_BACKEND_STORE_URI, which then becomes that.
Exit codes: 0 done, 1 may work when tried again, 3 a person has to act.
"""

import ast
import contextlib
import enum
import importlib.metadata
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import psycopg2.extensions  # type: ignore[import-untyped]  # the image holds no type stubs

SECONDS_BETWEEN_TRIES = 1.0
TELL_EVERY_SECONDS = 15.0
# Any number will do as long as all migrations of a database agree on it; an advisory lock belongs to one database.
MIGRATION_LOCK = 0x6D6C666C6F77  # "mlflow"


class State(enum.Enum):
    """How the database compares with this image."""

    EMPTY = "holds no tables"
    FOREIGN = "holds tables, but none of MLflow's"
    BEHIND = "has an older schema"
    CURRENT = "has the schema of this image"
    NEWER = "has a schema that this image does not know"


class Migrations(NamedTuple):
    """The schema revisions that an MLflow knows, and the last of them."""

    known: frozenset[str]
    head: str


class HopelessError(Exception):
    """Trying again would end the same way; the message says what to do."""


def read_migrations(folder: pathlib.Path) -> Migrations:
    """Read the revisions from MLflow's migration files.

    Read, not imported: importing them loads most of MLflow, about five seconds of each start of a server pod.
    """
    parents = {}
    for path in folder.glob("*.py"):
        constants = _string_constants(ast.parse(path.read_text(encoding="utf-8")))
        if "revision" in constants:
            parents[constants["revision"]] = constants.get("down_revision")
    heads = parents.keys() - parents.values()
    if len(heads) != 1:
        raise HopelessError(f"expected one last schema revision in {folder}, found {sorted(heads)}")
    return Migrations(frozenset(parents), heads.pop())


def _string_constants(module: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def compare(revision: str | None, tables: Collection[str], migrations: Migrations) -> State:
    """Say how a database with this revision and these tables compares with this image."""
    if revision is not None:
        if revision == migrations.head:
            return State.CURRENT
        return State.BEHIND if revision in migrations.known else State.NEWER
    # The tables of alembic itself are left behind by a first migration that failed, those of MLflow's before version
    # 1.0 by a server without migrations.
    others = {table for table in tables if not table.startswith("alembic_")}
    if not others:
        return State.EMPTY
    return State.BEHIND if {"experiments", "runs"} <= others else State.FOREIGN


def stop_if_hopeless(state: State, revision: str | None, version: str) -> None:
    """Raise if neither a migration nor time can help."""
    if state is State.NEWER:
        raise HopelessError(
            f"the database is at schema revision {revision}, which MLflow {version} does not know: a newer MLflow has "
            "written it. Use an image at least as new as that one, or restore a backup made before it"
        )
    if state is State.FOREIGN:
        raise HopelessError("the database holds tables of something else. Give MLflow a database of its own")


def observe(connection: Any) -> tuple[str | None, set[str]]:
    """Read the schema revision and the names of the tables on the search path."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))")
        tables = {name for (name,) in cursor.fetchall()}
        if "alembic_version" not in tables:
            return None, tables
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
    return (row[0] if row else None), tables


def variables_of(uri: str) -> dict[str, str]:
    """Return libpq's variables for a URI, which would otherwise have to be an argument that everybody can read."""
    plain = uri.replace("postgresql+psycopg2://", "postgresql://", 1)
    try:
        parts = psycopg2.extensions.parse_dsn(plain)
    except psycopg2.ProgrammingError:
        # Its message repeats the URI.
        raise HopelessError("MLFLOW_BACKEND_STORE_URI is not postgresql://user:password@host:port/name") from None
    return {f"PG{'DATABASE' if name == 'dbname' else name.upper()}": value for name, value in parts.items()}


def connect() -> Any:
    """Wait for the database and connect to it.

    A refused login is not waited out: the password is in the environment, which only a new pod can read again.
    """
    tell = Teller()
    while True:
        try:
            connection = psycopg2.connect("")
        except psycopg2.OperationalError as error:
            message = " ".join(str(error).split())
            if "authentication failed" in message or "does not exist" in message:
                raise
            tell(f"waiting for the database: {message}")
            time.sleep(SECONDS_BETWEEN_TRIES)
            continue
        connection.autocommit = True
        return connection


class Teller:
    """Prints what is new at once and repeats what is not only now and then."""

    def __init__(self) -> None:
        self._said = ""
        self._at = 0.0

    def __call__(self, message: str) -> None:
        """Print the message, unless it was printed a moment ago."""
        now = time.monotonic()
        if message != self._said or now - self._at >= TELL_EVERY_SECONDS:
            print(message, flush=True)
            self._said, self._at = message, now


@contextlib.contextmanager
def only_migration(connection: Any) -> Iterator[None]:
    """Hold the lock that only one migration of this database can have; PostgreSQL frees it when the connection ends."""
    tell = Teller()
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (MIGRATION_LOCK,))
            if cursor.fetchone()[0]:
                break
            tell("waiting for another migration of this database to end")
            time.sleep(SECONDS_BETWEEN_TRIES)
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))


def upgrade(migrations: Migrations, version: str) -> None:
    """Migrate the database if it needs it."""
    with contextlib.closing(connect()) as connection, only_migration(connection):
        revision, tables = observe(connection)
        state = compare(revision, tables, migrations)
        stop_if_hopeless(state, revision, version)
        print(
            f"the database {state.value} (revision {revision}); MLflow {version} expects {migrations.head}", flush=True
        )
        if state is not State.CURRENT:
            subprocess.run(["mlflow", "db", "upgrade", "postgresql+psycopg2://"], check=True)
            print(f"the database is now at revision {observe(connection)[0]}", flush=True)


def wait(migrations: Migrations, version: str) -> None:
    """Return when the database has the schema of this image."""
    tell = Teller()
    while True:
        with contextlib.closing(connect()) as connection:
            revision, tables = observe(connection)
        state = compare(revision, tables, migrations)
        stop_if_hopeless(state, revision, version)
        if state is State.CURRENT:
            print(f"the database has the schema of MLflow {version} (revision {revision})", flush=True)
            return
        tell(f"waiting for the migration Job: the database {state.value} (revision {revision})")
        time.sleep(SECONDS_BETWEEN_TRIES)


def main(command: str) -> int:
    """Run one command and return the exit code."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.submodule_search_locations:
        print("this image holds no MLflow", file=sys.stderr)
        return 3
    folder = pathlib.Path(spec.submodule_search_locations[0], "store", "db_migrations", "versions")
    try:
        os.environ.update(variables_of(os.environ.get("MLFLOW_BACKEND_STORE_URI", "")))
        {"upgrade": upgrade, "wait": wait}[command](read_migrations(folder), importlib.metadata.version("mlflow"))
    except HopelessError as error:
        print(error, file=sys.stderr)
        return 3
    except (psycopg2.Error, subprocess.CalledProcessError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # The first process of a container ignores the request to end unless it says otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1]))
