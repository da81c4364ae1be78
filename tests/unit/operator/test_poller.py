"""One reading a tick wakes exactly those whose pointer moved, and trouble is news only when it lasts."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from modelvane.kube import Kube
from modelvane.poller import Poller
from modelvane.registry import Access, Reader
from modelvane.spec import ModelPointer, ModelRegistrySpec
from modelvane.state import Found, Key, Resolution, Unreachable, Unread
from modelvane.trouble import UnreachableError

DEFAULT = Key("ModelRegistry", "ns", "default")
IRIS, WINE = Key("ModelDeployment", "ns", "iris"), Key("ModelDeployment", "ns", "wine")
TO_IRIS, TO_WINE = ModelPointer(name="iris", stage="Production"), ModelPointer(name="wine", alias="champion")
SPEC = ModelRegistrySpec(uri="http://mlflow:5000", poll_interval=timedelta(milliseconds=5))


class Script(Reader):
    """A registry whose answers are set by the test."""

    def __init__(self) -> None:
        self.versions = {TO_IRIS: "1", TO_WINE: "1"}
        self.failures_left = 0
        self.readings = 0

    def read(
        self, wanted: Collection[ModelPointer], known: Mapping[ModelPointer, Resolution]
    ) -> dict[ModelPointer, Resolution]:
        self.readings += 1
        if self.failures_left:
            self.failures_left -= 1
            raise UnreachableError("Timeout", "no answer")
        return {pointer: Found(self.versions[pointer]) for pointer in wanted}

    def server_version(self) -> str:
        return "3.17.2"


class Office:
    """A poller, its script and the keys it woke."""

    def __init__(self) -> None:
        self.script = Script()
        self.woken: list[Key] = []
        no_cluster: Kube = object.__new__(Kube)  # nothing in SPEC is read from the cluster
        self.poller = Poller(no_cluster, self.woken.append, reader=self._read)

    def _read(self, _: Access) -> Reader:
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
