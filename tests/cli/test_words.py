from datetime import timedelta
from typing import Any

import modelvane.names
import modelvane_cli.names
import pytest
from modelvane.engine.memory import Handled
from modelvane_cli.app import app
from modelvane_cli.words import how_long, parse_duration, parse_time, pointer_of


def test_the_names_are_the_operators_own() -> None:
    for name in ("GROUP", "API_VERSION", "LABEL_MODEL_DEPLOYMENT", "LABEL_REVISION", "LABEL_MODEL_VERSION"):
        assert getattr(modelvane_cli.names, name) == getattr(modelvane.names, name)


def test_every_request_that_the_operator_answers_has_a_command() -> None:
    requests = set(Handled.model_fields) - {"answer"}
    assert requests == set(modelvane_cli.names.REQUESTS)
    assert requests <= {command.name for command in app.registered_commands}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0s"),
        (119, "119s"),
        (130, "2m10s"),
        (180, "3m"),
        (3599, "59m"),
        (10800, "3h"),
        (11700, "3h15m"),
        (86400 * 3, "3d"),
    ],
)
def test_spans_are_said_as_kubectl_says_them(seconds: int, said: str) -> None:
    assert how_long(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("text", "span"),
    [("1h30m", timedelta(minutes=90)), ("500ms", timedelta(milliseconds=500)), ("5", None), ("", None), (None, None)],
)
def test_durations_are_read_as_the_operator_reads_them(text: object, span: timedelta | None) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize("text", ["", "yesterday", None, 5])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("model", "uri"),
    [
        ({"stage": "Production"}, "models:/iris/Production"),
        ({"alias": "champion"}, "models:/iris@champion"),
        ({"version": "3"}, "models:/iris/3"),
    ],
)
def test_pointers_are_written_as_mlflow_writes_them(model: dict[str, Any], uri: str) -> None:
    assert pointer_of({"model": {"name": "iris", **model}}) == uri
