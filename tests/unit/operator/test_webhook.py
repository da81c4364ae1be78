"""What is believed and what is not, and what a stranger on the webhook's port gets to see."""

import asyncio
import gzip
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelvane.engine.state import Key
from modelvane.http import listen
from modelvane.registry.deliveries import (
    LONGEST_BODY,
    Delivery,
    Limiter,
    Seen,
    is_authentic,
    key_of,
    path_of,
    sign,
    source_of,
)
from modelvane.registry.webhook import AT_ONCE, Receiver, build_app, strangers
from modelvane.spec import ModelDeploymentSpec, ModelPointer, ModelRegistrySpec, template_hash

KEY = Key("ModelRegistry", "ml", "default")
SECRET, OLD_SECRET = "new secret", "old secret"
NOW = 1_790_000_000.0
ID, BODY = "d0b42c14-6f3c-4a3a-9d54-3f3a1e2b7a10", b'{"entity": "model_version_alias", "action": "created"}'


def delivery(body: bytes = BODY, secret: str = SECRET, at: float = NOW, number: str = ID) -> Delivery:
    timestamp = str(int(at))
    return Delivery(number, timestamp, sign(secret, number, timestamp, body), body)


# Pure: what is believed.


def test_the_signature_is_the_one_that_mlflow_makes() -> None:
    # From mlflow.webhooks.delivery._generate_hmac_signature("s3cret", "id-1", "1790000000", '{"a": 1}'), MLflow 3.17.2.
    assert sign("s3cret", "id-1", "1790000000", b'{"a": 1}') == "v1,hmvU7z+N7re3HUA68F2e3K2HQ3iwwERUAHBGvIdWNkE="


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_both_secrets_are_right_while_one_replaces_the_other(secret: str) -> None:
    assert is_authentic(delivery(secret=secret), (SECRET, OLD_SECRET), NOW)


@pytest.mark.parametrize(("age", "believed"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_delivery_is_believed_for_five_minutes(age: int, believed: bool) -> None:
    assert is_authentic(delivery(at=NOW - age), (SECRET,), NOW) is believed


@pytest.mark.parametrize("secrets", [(), ("",), ("another",)])
def test_without_the_secret_nothing_is_believed(secrets: tuple[str, ...]) -> None:
    assert not is_authentic(delivery(), secrets, NOW)
    assert not is_authentic(delivery(secret=""), secrets, NOW)


def test_the_boundary_between_what_is_signed_cannot_be_moved() -> None:
    # The signed text is the same: `a.1790000000.1790000000.b`.
    forged = Delivery(f"a.{NOW:.0f}", f"{NOW:.0f}", sign(SECRET, "a", f"{NOW:.0f}", f"{NOW:.0f}.b".encode()), b"b")
    assert sign(SECRET, forged.id, forged.timestamp, forged.body) == forged.signature
    assert not is_authentic(forged, (SECRET,), NOW)


@settings(deadline=None)
@given(
    body=st.binary(max_size=2000),
    secret=st.text(min_size=1),
    number=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
)
def test_what_is_signed_is_believed(body: bytes, secret: str, number: str) -> None:
    assert is_authentic(delivery(body, secret, number=number), (secret,), NOW)


@settings(deadline=None, max_examples=500)
@given(data=st.data(), body=st.binary(max_size=200))
def test_one_byte_that_differs_is_not_believed(data: st.DataObject, body: bytes) -> None:
    good = delivery(body)
    name = data.draw(st.sampled_from(["id", "timestamp", "signature", *(["body"] if body else [])]))
    part = bytearray(body if name == "body" else getattr(good, name).encode())
    part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    changed: Any = bytes(part) if name == "body" else bytes(part).decode(errors="surrogateescape")
    assert not is_authentic(replace(good, **{name: changed}), (SECRET, OLD_SECRET), NOW)


@settings(deadline=None, max_examples=500)
@given(
    number=st.text(st.characters(exclude_categories=[])),
    timestamp=st.text(st.characters(exclude_categories=[])) | st.integers().map(str) | st.just("٣" * 10),
    signature=st.text(st.characters(exclude_categories=[])),
    body=st.binary(),
)
def test_rubbish_is_not_believed_and_raises_nothing(number: str, timestamp: str, signature: str, body: bytes) -> None:
    assert not is_authentic(Delivery(number, timestamp, signature, body), (SECRET,), NOW)


def test_a_path_names_a_registry() -> None:
    assert key_of(path_of(KEY)) == KEY
    for path in (
        "/",
        "/webhook/ml",
        "/webhook/ml/default/",
        "/webhook/ml/a/b",
        "/webhook//default",
        "/Webhook/ml/default",
    ):
        assert key_of(path) is None


def test_only_so_many_are_remembered() -> None:
    seen = Seen(2)
    for item in "abc":
        seen.add(item)
    assert [item in seen for item in "abc"] == [False, True, True]


def test_a_source_has_a_limit_and_gets_it_back_with_time() -> None:
    limiter = Limiter(at_once=3, a_second=2, most=10)
    assert [limiter.allows("a", 0) for _ in range(4)] == [True, True, True, False]
    assert limiter.allows("b", 0)
    assert [limiter.allows("a", 1) for _ in range(3)] == [True, True, False]
    assert [limiter.allows("a", 100) for _ in range(4)] == [True, True, True, False]


def test_the_sources_that_are_remembered_are_bounded() -> None:
    limiter = Limiter(at_once=1, a_second=0, most=2)
    assert [limiter.allows(source, 0) for source in "abc"] == [True, True, True]
    assert [limiter.allows(source, 0) for source in "cb"] == [False, False]
    assert limiter.allows("a", 0)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("2001:db8::ffff:2:3:4", "2001:db8::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        (None, "unknown"),
    ],
)
def test_a_network_of_ipv6_is_one_source(address: str | None, source: str) -> None:
    assert source_of(address) == source


def test_a_webhook_makes_no_other_pod() -> None:
    spec = ModelDeploymentSpec(model=ModelPointer(name="iris", alias="champion"))
    plain = {"uri": "http://mlflow:5000"}
    told = {**plain, "webhook": {"enabled": True, "secretRef": {"name": "webhook"}}}
    hashes = {template_hash(spec, ModelRegistrySpec.model_validate(registry), None) for registry in (plain, told)}
    assert len(hashes) == 1


# Over HTTP: what a stranger gets to see.


class Desk:
    """Knows one registry, and takes note of what is delivered."""

    def __init__(self) -> None:
        self.known: tuple[str, ...] = (SECRET,)
        self.in_the_cluster: tuple[str, ...] = (SECRET,)
        self.taken: list[Key] = []

    def secrets(self, key: Key) -> tuple[str, ...] | None:
        return self.known if key == KEY else None

    async def read_secrets_again(self, _: Key) -> tuple[str, ...]:
        self.known = self.in_the_cluster
        return self.known

    def delivered(self, key: Key) -> None:
        self.taken.append(key)


class Line:
    """A client of the receiver's port."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.port = port

    async def post(self, d: Delivery, path: str = path_of(KEY), **headers: str) -> int:
        signed = {"X-MLflow-Delivery-Id": d.id, "X-MLflow-Timestamp": d.timestamp, "X-MLflow-Signature": d.signature}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.post(url, data=d.body, headers={**signed, **headers}) as answer:
            assert await answer.read() == b""
            return answer.status

    async def say(self, text: bytes) -> bytes:
        """Send bytes that no client would send, and return all that comes back until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer


def fresh(number: str = ID, **changes: Any) -> Delivery:
    return replace(delivery(at=time.time(), number=number), **changes)


def receive(scene: Callable[[Line, Desk], Awaitable[None]], leads: bool = True) -> None:
    async def run() -> None:
        receiver, desk = Receiver(), Desk()
        if leads:
            receiver.lead(desk)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        runner = await listen(build_app(receiver), port, strangers)
        async with aiohttp.ClientSession() as session:
            await scene(Line(session, port), desk)
        await runner.cleanup()

    asyncio.run(run())


def test_a_delivery_is_taken_once() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        one = fresh()
        assert [await line.post(one), await line.post(one)] == [202, 202]
        assert desk.taken == [KEY]
        assert await line.post(fresh("another-id")) == 202
        assert desk.taken == [KEY, KEY]

    receive(scene)


def test_what_is_not_authentic_is_answered_401_and_nothing_else() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        for wrong in (
            fresh(id="other"),
            fresh(timestamp="0"),
            fresh(signature=""),
            fresh(signature="v1,\xff"),
            replace(fresh(), body=BODY + b" "),
        ):
            assert await line.post(wrong) == 401
        assert await line.post(fresh(), path="/webhook/ml/other") == 401
        assert await line.post(fresh(), path="/metrics") == 401
        async with line.session.get(f"http://127.0.0.1:{line.port}{path_of(KEY)}") as answer:
            assert answer.status == 401
        assert desk.taken == []

    receive(scene)


def test_a_secret_that_was_just_replaced_is_known_at_once() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        desk.known, desk.in_the_cluster = (OLD_SECRET,), (SECRET, OLD_SECRET)
        assert await line.post(fresh()) == 202
        assert desk.taken == [KEY]

    receive(scene)


def test_a_body_is_taken_as_it_came() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        packed = delivery(gzip.compress(BODY), at=time.time())
        assert await line.post(packed, **{"Content-Encoding": "gzip"}) == 202

    receive(scene)


def test_a_body_may_have_64_kib_and_no_more_is_read() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        assert await line.post(delivery(b"x" * LONGEST_BODY, at=time.time())) == 202
        head = f"POST {path_of(KEY)} HTTP/1.1\r\nHost: x\r\n".encode()
        # The answer comes although what was announced is never sent.
        announced = await line.say(head + b"Content-Length: 65537\r\n\r\n")
        assert announced.startswith(b"HTTP/1.1 413 ")
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        chunked = await line.say(head + b"Transfer-Encoding: chunked\r\n\r\n" + 3 * chunk)
        assert chunked.startswith(b"HTTP/1.1 413 ")
        assert desk.taken == [KEY]

    receive(scene)


@pytest.mark.parametrize(
    "text", [b"", b"POST /webhook/ml/default HTTP/1.1\r\nHost: x\r\nX-A: "], ids=["silent", "half"]
)
def test_who_sends_no_whole_head_is_shown_out(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelvane.http.SILENCE", 0.1)

    async def scene(line: Line, desk: Desk) -> None:
        async with asyncio.timeout(5):
            assert await line.say(text) == b""
        assert await line.post(fresh()) == 202

    receive(scene)


@pytest.mark.parametrize(
    "text",
    [
        b"Content-Length: 100\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"X-MLflow-Timestamp: \xff\xfe\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ],
    ids=["cut off", "no chunk", "two lengths", "negative length", "no text"],
)
def test_a_broken_request_breaks_nothing(text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(line: Line, desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        writer.write(f"POST {path_of(KEY)} HTTP/1.1\r\nHost: x\r\n".encode() + text)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        assert answer == b"" or answer[9:12] in (b"400", b"401"), answer
        assert await line.post(fresh()) == 202
        assert desk.taken == [KEY]

    receive(scene)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_too_many_at_once_are_asked_to_come_again() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        answers = await asyncio.gather(*(line.post(fresh(f"id-{n}")) for n in range(AT_ONCE + 60)))
        assert set(answers) == {202, 429}
        assert answers.count(202) == len(desk.taken) >= AT_ONCE

    receive(scene)


def test_a_standby_asks_to_come_again_on_another_connection() -> None:
    async def scene(line: Line, desk: Desk) -> None:
        answer = await line.say(f"POST {path_of(KEY)} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Connection: close\r\n" in answer
        # MLflow tries again at once, unless it is told to wait.
        assert b"Retry-After" not in answer

    receive(scene, leads=False)
