"""What a stream shows while the cluster comes and goes."""

import io
import json
from collections.abc import Iterator
from typing import cast

import pytest
from modelvane_cli import showing
from modelvane_cli.cluster import Cluster
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.seen import Seen
from rich.console import Console

from tests.cli.scenes import at_rest, canary, seen

LOST = StopError(Exit.UNREACHABLE, "the API server does not answer.")


class Somewhere:
    """A cluster that is only named."""

    namespace = "ml"


def watch(monkeypatch: pytest.MonkeyPatch, *looks: Seen | BaseException, as_json: bool) -> None:
    """Let each look at the cluster bring what is given; then the user presses Ctrl-C."""
    coming: Iterator[Seen | BaseException] = iter((*looks, KeyboardInterrupt()))

    def see(*_: object) -> Seen:
        found = next(coming)
        if isinstance(found, Seen):
            return found
        raise found

    monkeypatch.setattr(showing, "see", see)
    monkeypatch.setattr(showing, "REFRESH_SECONDS", 0)
    showing.watch_status(cast("Cluster", Somewhere()), "iris", as_json=as_json)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_stream_outlasts_an_api_server_that_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    watch(monkeypatch, seen(at_rest()), LOST, LOST, seen(canary()), as_json=as_json)
    shown = capsys.readouterr()
    phases = [json.loads(line)["phase"] if as_json else line.split()[1] for line in shown.out.splitlines()]
    assert phases == ["Ready", "Progressing"]
    assert shown.err == "the API server does not answer. Trying again.\n"


def test_a_terminal_keeps_what_was_seen_last(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(showing, "open_console", lambda: screen)
    watch(monkeypatch, seen(at_rest()), LOST, as_json=False)
    last = cast("io.StringIO", screen.file).getvalue().rpartition("iris  Ready")
    assert "the API server does not answer. Trying again." in last[2]


@pytest.mark.parametrize(
    "looks",
    [(LOST,), (seen(at_rest()), StopError(Exit.NOT_FOUND, "it is gone"))],
    ids=["at the first look", "the resource is gone"],
)
def test_what_will_not_come_back_ends_a_stream(
    monkeypatch: pytest.MonkeyPatch, looks: tuple[Seen | StopError, ...]
) -> None:
    with pytest.raises(StopError):
        watch(monkeypatch, *looks, as_json=True)
