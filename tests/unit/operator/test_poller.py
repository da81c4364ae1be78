"""One reading a tick wakes exactly those whose pointer moved, and trouble is news only when it lasts."""

import asyncio
import base64
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from modelvane.cluster.kube import Kind, Kube
from modelvane.engine.state import Found, Key, Resolution, Unreachable, Unread
from modelvane.registry import poller, worker
from modelvane.registry.outbox import Receipt
from modelvane.registry.poller import Poller
from modelvane.registry.reader import Access, Reader
from modelvane.registry.trouble import UnreachableError
from modelvane.registry.writeback import Note, Tag
from modelvane.spec import ModelPointer, ModelRegistrySpec, ObjectRef
from prometheus_client import generate_latest

DEFAULT = Key("ModelRegistry", "ns", "default")
IRIS, WINE = Key("ModelDeployment", "ns", "iris"), Key("ModelDeployment", "ns", "wine")
TO_IRIS, TO_WINE = ModelPointer(name="iris", stage="Production"), ModelPointer(name="wine", alias="champion")
SPEC = ModelRegistrySpec(uri="http://mlflow:5000", poll_interval=timedelta(milliseconds=5))


class Script(Reader):
    """A registry whose answers are set by the test."""

    def __init__(self) -> None:
        self.versions = {TO_IRIS: "1", TO_WINE: "1"}
        self.failures_left = 0
        self.failure: Exception = UnreachableError("Timeout", "no answer")
        self.readings = 0
        self.tags: list[str] = []
        self.tag_failure: Exception | None = None
        self.at_once = 2
        self.version_failure: Exception | None = None
        self.asked_for_version = 0
        self.hangs: threading.Event | None = None

    def read(
        self, wanted: Collection[ModelPointer], known: Mapping[ModelPointer, Resolution]
    ) -> dict[ModelPointer, Resolution]:
        self.readings += 1
        if self.failures_left:
            self.failures_left -= 1
            raise self.failure
        if self.hangs:
            self.hangs.wait(10)
        unread_first = sorted(wanted, key=lambda pointer: pointer in known)
        return {pointer: Found(self.versions[pointer]) for pointer in unread_first[: self.at_once]}

    def server_version(self) -> str:
        self.asked_for_version += 1
        if self.version_failure:
            raise self.version_failure
        return "3.17.2"

    def set_tag(self, model: str, version: str, key: str, value: str) -> bool:
        if self.tag_failure:
            raise self.tag_failure
        self.tags.append(f"{model} {version} {key} {value}")
        return True


class Secrets(Kube):
    """A cluster that has nothing but Secrets, and counts how often it is asked for one."""

    def __init__(self) -> None:
        self.held: str | None = None
        self.asked = 0
        self.failure: Exception | None = None

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, object] | None:
        self.asked += 1
        if self.failure:
            raise self.failure
        if self.held is None:
            return None
        return {"data": {"MLFLOW_TRACKING_PASSWORD": base64.b64encode(self.held.encode()).decode()}}


class Office:
    """A poller, its script and the keys it woke."""

    def __init__(self) -> None:
        self.script = Script()
        self.woken: list[Key] = []
        self.secrets = Secrets()
        self.passwords: list[str | None] = []
        self.poller = Poller(self.secrets, self.woken.append, reader=self._read)

    def _read(self, access: Access) -> Reader:
        self.passwords.append(access.env.get("MLFLOW_TRACKING_PASSWORD"))
        return self.script

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def readings(self, more: int) -> None:
        enough = self.script.readings + more
        await self.until(lambda: self.script.readings >= enough)

    async def open(self) -> None:
        for who, pointer in ((IRIS, TO_IRIS), (WINE, TO_WINE)):
            assert self.poller.follow(who, DEFAULT, pointer) == (Unread(), None)
        self.poller.set_registry(DEFAULT, SPEC)
        await self.until(lambda: isinstance(self.poller.follow(WINE, DEFAULT, TO_WINE)[0], Found))
        self.woken.clear()


def play(scene: Callable[[Office], "asyncio.Future[None] | object"]) -> None:
    async def run() -> None:
        office = Office()
        await office.open()
        await scene(office)  # type: ignore[misc]
        office.poller.stop()

    asyncio.run(run())


def test_only_the_deployment_whose_pointer_moved_is_woken() -> None:
    async def scene(office: Office) -> None:
        await office.readings(3)
        assert office.woken == []
        office.script.versions[TO_IRIS] = "2"
        await office.readings(3)
        assert office.woken == [IRIS]
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("2")

    play(scene)


def test_one_lost_answer_is_no_news() -> None:
    async def scene(office: Office) -> None:
        office.script.failures_left = 1
        await office.readings(4)
        assert office.woken == []

    play(scene)


def test_a_lasting_outage_is_told_once_and_so_is_its_end() -> None:
    async def scene(office: Office) -> None:
        office.script.failures_left = 4
        await office.readings(4)
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Unreachable("Timeout", "no answer")
        assert sorted(office.woken, key=str) == [IRIS, WINE, DEFAULT]
        office.woken.clear()
        await office.until(lambda: len(office.woken) == 3)
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1")

    play(scene)


def test_a_deployment_that_is_gone_is_no_longer_asked_for() -> None:
    async def scene(office: Office) -> None:
        assert office.poller.health(DEFAULT)[1] == 2
        office.poller.forget(WINE)
        assert office.poller.health(DEFAULT)[1] == 1

    play(scene)


def test_a_registry_is_woken_when_the_number_it_answers_changes_and_only_then() -> None:
    async def scene(office: Office) -> None:
        office.poller.forget(WINE)
        office.poller.forget(WINE)
        assert office.woken == [DEFAULT]
        office.poller.follow(WINE, DEFAULT, TO_WINE)
        office.poller.follow(WINE, DEFAULT, TO_WINE)
        assert office.woken == [DEFAULT, DEFAULT]

    play(scene)


def test_a_registry_that_is_gone_is_polled_no_more_and_its_followers_are_woken() -> None:
    async def scene(office: Office) -> None:
        office.poller.set_registry(DEFAULT, None)
        assert sorted(office.woken, key=str) == [IRIS, WINE]
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS) == (Unread(), None)

    play(scene)


SLOW = ModelRegistrySpec(uri="http://mlflow:5000", poll_interval=timedelta(hours=1))


def test_a_kick_reads_at_once_and_not_in_an_hour() -> None:
    async def scene(office: Office) -> None:
        office.poller.set_registry(DEFAULT, SLOW)
        await office.until(lambda: isinstance(office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0], Found))
        office.script.versions[TO_IRIS] = "2"
        office.woken.clear()
        office.poller.kick(DEFAULT)
        await office.until(lambda: office.woken == [IRIS])
        office.poller.kick(Key("ModelRegistry", "ns", "no-such-registry"))

    play(scene)


def test_a_kick_ends_the_wait_for_a_registry_that_was_down() -> None:
    async def scene(office: Office) -> None:
        office.script.failures_left = 1
        office.poller.set_registry(DEFAULT, SLOW)
        await office.until(lambda: isinstance(office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0], Unreachable))
        before = office.script.readings
        for _ in range(10):  # Whoever follows it runs again and again meanwhile.
            office.poller.follow(IRIS, DEFAULT, TO_IRIS)
            await asyncio.sleep(0.002)
        assert office.script.readings == before
        office.poller.kick(DEFAULT)
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1"))

    play(scene)


def test_an_error_that_nobody_thought_of_is_told_and_does_not_end_the_polling() -> None:
    async def scene(office: Office) -> None:
        office.script.failure = RuntimeError("a bug")
        office.script.failures_left = 3
        await office.readings(3)
        resolution = office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0]
        assert isinstance(resolution, Unreachable)
        assert resolution.reason == "InternalError"
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1"))

    play(scene)


CLOSED = SLOW.model_copy(update={"credentials_secret_ref": ObjectRef(name="mlflow")})


def test_credentials_that_were_changed_are_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "LOOK_FOR_CREDENTIALS", timedelta(milliseconds=2))

    async def scene(office: Office) -> None:
        office.secrets.held = "old"
        office.script.failure = UnreachableError("Unauthorized", "answers 401")
        office.script.failures_left = 1
        office.poller.set_registry(DEFAULT, CLOSED)
        await office.until(lambda: isinstance(office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0], Unreachable))
        looked, read = office.secrets.asked, office.script.readings
        await office.until(lambda: office.secrets.asked > looked + 5)
        assert office.script.readings == read, "the registry is left alone while the Secret is the same"
        office.secrets.held = "new"
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1"))
        assert office.passwords[-2:] == ["old", "new"]

    play(scene)


def test_an_error_about_the_secret_of_a_registry_that_is_down_does_not_end_the_polling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poller, "LOOK_FOR_CREDENTIALS", timedelta(milliseconds=2))

    async def scene(office: Office) -> None:
        office.secrets.held = "same"
        office.script.failures_left = 1
        office.poller.set_registry(DEFAULT, CLOSED)
        await office.until(lambda: isinstance(office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0], Unreachable))
        office.secrets.failure = ValueError("a page that is no JSON")
        looked = office.secrets.asked
        await office.until(lambda: office.secrets.asked > looked + 3)
        office.secrets.failure = None
        office.poller.kick(DEFAULT)
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1"))

    play(scene)


def test_an_error_that_nobody_thought_of_in_writing_back_does_not_end_the_polling() -> None:
    async def scene(office: Office) -> None:
        office.script.tag_failure = RuntimeError("a bug")
        office.poller.write_back(IRIS, DEFAULT, note(1))
        await office.readings(3)
        office.script.versions[TO_IRIS] = "2"
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("2"))

    play(scene)


def test_what_a_reading_had_no_time_for_stays_as_it_was_and_is_read_at_once() -> None:
    async def scene(office: Office) -> None:
        office.script.at_once = 1
        office.poller.set_registry(DEFAULT, SLOW)
        # Nobody asks meanwhile, so it is not that which makes it read again.
        await office.readings(4)
        office.script.at_once = 2
        await office.readings(1)
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1")
        assert office.poller.follow(WINE, DEFAULT, TO_WINE)[0] == Found("1")

    play(scene)


def test_what_a_reading_left_out_keeps_what_was_known() -> None:
    async def scene(office: Office) -> None:
        office.script.at_once = 0
        await office.readings(5)
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1")
        assert office.woken == []

    play(scene)


def test_a_server_that_does_not_tell_its_version_is_read_and_not_asked_each_time() -> None:
    async def scene(office: Office) -> None:
        office.script.version_failure = UnreachableError("ServerError", "answers 503")
        office.script.asked_for_version = 0
        office.poller.set_registry(DEFAULT, SPEC.model_copy(update={"uri": "http://other:5000"}))
        await office.readings(5)
        assert office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1")
        assert office.script.asked_for_version == 1
        office.script.version_failure = None
        office.script.failures_left = 1  # The next reader asks again.
        await office.until(lambda: office.poller.health(DEFAULT)[0].server_version == "3.17.2")

    play(scene)


def test_a_call_that_never_ends_is_left_behind_with_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(office: Office) -> None:
        monkeypatch.setattr(worker, "CALL_TIMEOUT", 0.1)
        end = office.script.hangs = threading.Event()
        await office.until(lambda: isinstance(office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0], Unreachable))
        office.script.hangs = None
        office.script.versions[TO_IRIS] = "2"
        try:
            async with asyncio.timeout(3):
                await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("2"))
        finally:
            end.set()

    play(scene)


def test_a_registry_that_is_gone_leaves_no_series_behind() -> None:
    def series() -> list[str]:
        return [line for line in generate_latest().decode().splitlines() if 'registry="ns/default"' in line]

    async def scene(office: Office) -> None:
        office.script.failures_left = 1
        await office.readings(3)
        assert series()
        office.poller.set_registry(DEFAULT, None)
        await asyncio.sleep(0.02)
        assert series() == []

    play(scene)


def test_a_missing_secret_is_looked_for_in_peace_and_found_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "LOOK_FOR_CREDENTIALS", timedelta(milliseconds=20))

    async def scene(office: Office) -> None:
        office.poller.set_registry(DEFAULT, CLOSED)
        office.poller.follow(IRIS, DEFAULT, TO_IRIS)
        await office.until(lambda: isinstance(office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0], Unreachable))
        turns = 0
        before = office.secrets.asked
        while office.secrets.asked < before + 2:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 5, "other things were done between two looks"
        office.secrets.held = "new"
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("1"))

    play(scene)


def note(minutes_ago: int) -> Note:
    return Note(
        (Tag("iris", "1", "modelvane.ns.iris", "Promoted"),), datetime.now(UTC) - timedelta(minutes=minutes_ago)
    )


def test_a_note_is_written_and_its_writer_woken_once() -> None:
    async def scene(office: Office) -> None:
        told = note(1)
        assert office.poller.write_back(IRIS, DEFAULT, told) == Receipt()
        await office.until(lambda: office.woken == [IRIS])
        assert office.poller.write_back(IRIS, DEFAULT, told) == Receipt(written=True)
        await office.readings(3)
        assert office.script.tags == ["iris 1 modelvane.ns.iris Promoted"]
        assert office.woken == [IRIS]

    play(scene)


def test_a_registry_that_is_down_is_written_to_when_it_is_back() -> None:
    async def scene(office: Office) -> None:
        office.script.failures_left = 3
        await office.readings(2)
        office.poller.write_back(IRIS, DEFAULT, note(1))
        assert office.script.tags == []
        await office.until(lambda: office.script.tags != [])

    play(scene)


def test_a_tag_that_is_refused_is_told_once_and_disturbs_no_reading() -> None:
    async def scene(office: Office) -> None:
        told = note(1)
        office.script.tag_failure = UnreachableError("Unauthorized", "answers 403")
        office.poller.write_back(IRIS, DEFAULT, told)
        await office.until(lambda: office.woken == [IRIS])
        refusal = office.poller.write_back(IRIS, DEFAULT, told).refusal
        assert refusal is not None
        assert "grant it EDIT" in refusal
        assert office.poller.write_back(IRIS, DEFAULT, told) == Receipt()
        office.script.versions[TO_IRIS] = "2"
        await office.until(lambda: office.poller.follow(IRIS, DEFAULT, TO_IRIS)[0] == Found("2"))

    play(scene)


def test_a_note_for_a_registry_that_does_not_exist_waits() -> None:
    async def scene(office: Office) -> None:
        assert office.poller.write_back(IRIS, Key("ModelRegistry", "ns", "no-such-registry"), note(1)) == Receipt()

    play(scene)
