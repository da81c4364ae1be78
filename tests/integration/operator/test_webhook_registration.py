"""The webhook that is kept in a real MLflow server, whatever happens to it there, and what MLflow has against one."""

import asyncio
import base64
import secrets
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy
from kubernetes.aio.client import ApiException, CoreV1Api, V1ObjectMeta, V1Secret
from modelvane.cluster.kube import Kube, connect
from modelvane.engine.state import Key
from modelvane.http import listen
from modelvane.registry.deliveries import path_of
from modelvane.registry.reader import configure
from modelvane.registry.registrar import Registrar
from modelvane.registry.subscription import EVENTS
from modelvane.registry.webhook import Receiver, build_app
from modelvane.spec import ModelRegistrySpec

from tests.integration.registry.mlflow_server import MlflowServer

PLAIN_USER = {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": "may-read-and-no-more"}

FIRST, SECOND = {"secret": "first"}, {"secret": "second"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Office:
    """A registrar on a real cluster, and a receiver that MLflow can reach."""

    namespace: str
    name: str
    uid: str
    kube: Kube
    core: CoreV1Api
    registrar: Registrar
    port: int
    kicked: list[Key] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return Key("ModelRegistry", self.namespace, self.name)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return self.base + path_of(self.key)

    async def open(self, server: MlflowServer) -> None:
        """Have a webhook registered."""
        await self.write_secret("hook", FIRST)
        await self.write_secret("user", server.admin)
        self.registrar.set_registry(self.key, self.uid, self.spec(server.url))
        await self.until("registered", lambda: self.verdict() == ("True", "Registered"))

    async def write_secret(self, suffix: str, data: dict[str, str]) -> None:
        name = f"{self.name}-{suffix}"
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        body = V1Secret(metadata=V1ObjectMeta(name=name), data=encoded)
        try:
            await self.core.create_namespaced_secret(self.namespace, body)
        except ApiException:
            await self.core.replace_namespaced_secret(name, self.namespace, body)

    def spec(self, uri: str, **webhook: Any) -> ModelRegistrySpec:
        whole = {"enabled": True, "secretRef": {"name": f"{self.name}-hook"}, **webhook}
        return ModelRegistrySpec.model_validate(
            {"uri": uri, "credentialsSecretRef": {"name": f"{self.name}-user"}, "webhook": whole}
        )

    async def until(self, what: str, holds: Callable[[], object]) -> None:
        """Wait for a fact, asking from a thread because MLflow is asked in the old way."""
        deadline = time.monotonic() + 30
        while not await asyncio.to_thread(holds):
            assert time.monotonic() < deadline, f"{what}: {self.registrar.verdict(self.key)}"
            await asyncio.sleep(0.3)

    def verdict(self) -> tuple[str, str]:
        found = self.registrar.verdict(self.key)
        return (found[0], found[1]) if found else ("", "")


def play(namespace: str, scene: Callable[[Office], Awaitable[None]]) -> None:
    async def run() -> None:
        configure()
        client = await connect()
        kube, kicked = Kube(client), list[Key]()
        port = free_port()
        registrar = Registrar(
            kube, lambda _: None, kicked.append, f"http://127.0.0.1:{port}", renew=timedelta(seconds=1)
        )
        receiver = Receiver()
        receiver.lead(registrar)
        runner = await listen(build_app(receiver), port)
        name = f"hook-{secrets.token_hex(3)}"
        office = Office(namespace, name, str(uuid.uuid4()), kube, CoreV1Api(client), registrar, port, kicked)
        try:
            await scene(office)
        finally:
            registrar.stop()
            await runner.cleanup()
            await client.close()  # type: ignore[no-untyped-call]

    asyncio.run(run())


def webhooks(server: MlflowServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.call("GET", "webhooks").get("webhooks", [])
    return found


def ours(server: MlflowServer, office: Office) -> list[dict[str, Any]]:
    return [webhook for webhook in webhooks(server) if webhook["url"] == office.url]


def patch(server: MlflowServer, number: str, change: dict[str, Any]) -> None:
    server.call("PATCH", f"webhooks/{number}", **change)


def changed_at(server: MlflowServer, webhook: dict[str, Any]) -> int:
    return int(server.call("GET", f"webhooks/{webhook['webhook_id']}")["webhook"]["last_updated_timestamp"])


def is_as_made(server: MlflowServer, office: Office, made: dict[str, Any]) -> bool:
    looked_at = ("webhook_id", "name", "url", "status", "events")
    return [{name: hook[name] for name in looked_at} for hook in ours(server, office)] == [
        {name: made[name] for name in looked_at}
    ]


def move_alias(server: MlflowServer, model: str) -> None:
    server.call("POST", "registered-models/alias", name=model, alias="champion", version="1")


def add_model(server: MlflowServer) -> str:
    name = f"model-{secrets.token_hex(3)}"
    server.call("POST", "registered-models/create", name=name)
    server.call("POST", "model-versions/create", name=name, source=f"s3://bucket/{name}")
    return name


def test_it_is_registered_kept_and_taken_away(namespace: str, telling_server: MlflowServer) -> None:
    server, model = telling_server, add_model(telling_server)

    async def scene(office: Office) -> None:
        await office.open(server)
        (made,) = ours(server, office)
        assert made["name"] == f"modelvane-{office.uid}"
        assert {f"{e['entity']}.{e['action']}".lower() for e in made["events"]} == set(EVENTS)

        await asyncio.to_thread(move_alias, server, model)
        await office.until("an alias that moves wakes the poller", lambda: office.kicked == [office.key])

        changes: tuple[dict[str, Any], ...] = (
            {"status": "DISABLED"},
            {"url": "http://127.0.0.1:1/elsewhere"},
            {"events": [{"entity": "PROMPT", "action": "CREATED"}]},
        )
        for change in changes:
            await asyncio.to_thread(patch, server, made["webhook_id"], change)
            await office.until(f"it is put right after {change}", lambda: is_as_made(server, office, made))
        await asyncio.to_thread(server.call, "DELETE", f"webhooks/{made['webhook_id']}")
        await office.until("it is made again", lambda: len(ours(server, office)) == 1)
        twin = {name: made[name] for name in ("name", "url", "events")}
        await asyncio.to_thread(lambda: server.call("POST", "webhooks", **twin))
        await office.until("of two there is one", lambda: len(ours(server, office)) == 1)

        office.registrar.set_registry(office.key, office.uid, office.spec(server.url, enabled=False))
        assert office.registrar.verdict(office.key) is None
        await office.until("it is taken away", lambda: ours(server, office) == [])

    play(namespace, scene)


def test_a_secret_is_replaced_without_losing_an_event(namespace: str, telling_server: MlflowServer) -> None:
    server, model = telling_server, add_model(telling_server)

    async def scene(office: Office) -> None:
        async def tell() -> None:
            told = len(office.kicked)
            await asyncio.to_thread(move_alias, server, model)
            await office.until("the event arrives", lambda: len(office.kicked) > told)

        await office.open(server)
        await tell()
        # MLflow signs with the old one for as long as it remembers the webhook: here a second, otherwise a minute.
        await office.write_secret("hook", SECOND | {"previousSecret": FIRST["secret"]})
        for _ in range(4):
            await tell()
            await asyncio.sleep(0.5)
        await office.write_secret("hook", SECOND)
        await office.until(
            "the old one is forgotten", lambda: office.registrar.secrets(office.key) == tuple(SECOND.values())
        )
        await tell()
        # Somebody else's secret in MLflow is put right, too.
        (made,) = ours(server, office)
        await asyncio.to_thread(patch, server, made["webhook_id"], {"secret": "stolen"})
        stolen_at = await asyncio.to_thread(changed_at, server, made)
        await office.until("it is written again", lambda: changed_at(server, made) > stolen_at)
        await asyncio.sleep(1.5)
        await tell()

    play(namespace, scene)


def test_a_registry_that_is_gone_takes_its_webhook_with_it(namespace: str, telling_server: MlflowServer) -> None:
    async def scene(office: Office) -> None:
        await office.open(telling_server)
        office.registrar.set_registry(office.key, "", None)
        await office.until("it is taken away", lambda: ours(telling_server, office) == [])

    play(namespace, scene)


def test_one_that_was_registered_by_an_earlier_process_is_taken_away(
    namespace: str, telling_server: MlflowServer
) -> None:
    async def scene(office: Office) -> None:
        await office.open(telling_server)
        office.registrar.stop()
        later = Registrar(office.kube, lambda _: None, lambda _: None, None)
        later.set_registry(office.key, office.uid, office.spec(telling_server.url, enabled=False), was_registered=True)
        await office.until("it is taken away", lambda: ours(telling_server, office) == [])

    play(namespace, scene)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.com", "SchemeRefused"),
        ("https://127.0.0.1", "PrivateAddressRefused"),
        ("https://no-such-host.invalid", "NameNotResolved"),
    ],
)
def test_what_mlflow_has_against_an_address_is_said(namespace: str, mlflow_uri: str, url: str, reason: str) -> None:
    async def scene(office: Office) -> None:
        await office.write_secret("hook", FIRST)
        await office.write_secret("user", {})
        office.registrar.set_registry(office.key, office.uid, office.spec(mlflow_uri, url=url))
        await office.until("refused", lambda: office.verdict() == ("False", reason))

    play(namespace, scene)


def test_only_an_administrator_may_register_one(namespace: str, telling_server: MlflowServer) -> None:
    user, password = PLAIN_USER.values()
    telling_server.call("POST", "users/create", username=user, password=password)

    async def scene(office: Office) -> None:
        await office.write_secret("hook", FIRST)
        await office.write_secret("user", PLAIN_USER)
        office.registrar.set_registry(office.key, office.uid, office.spec(telling_server.url))
        await office.until("refused", lambda: office.verdict() == ("False", "NotAdmin"))

    play(namespace, scene)


def test_what_is_wrong_with_the_secret_is_said_until_it_is_right(namespace: str, telling_server: MlflowServer) -> None:
    async def scene(office: Office) -> None:
        await office.write_secret("user", telling_server.admin)
        office.registrar.set_registry(office.key, office.uid, office.spec(telling_server.url))
        await office.until("no Secret", lambda: office.verdict() == ("False", "SecretMissing"))
        await office.write_secret("hook", {"secret": "\n", "previousSecret": "first"})
        await office.registrar.read_secrets_again(office.key)
        office.registrar.set_registry(office.key, office.uid, office.spec(telling_server.url, url=office.base))
        await office.until("no secret in it", lambda: office.verdict() == ("False", "SecretInvalid"))
        assert office.registrar.secrets(office.key) == ()

    play(namespace, scene)


def test_an_mlflow_that_lost_its_key_is_asked_for_it(namespace: str, telling_server: MlflowServer) -> None:
    database = sqlalchemy.create_engine(telling_server.database)

    def store(sentence: str) -> None:
        with database.begin() as connection:
            connection.execute(sqlalchemy.text(sentence))

    async def scene(office: Office) -> None:
        await office.open(telling_server)
        # What a server with another key finds: a secret that it cannot read.
        await asyncio.to_thread(store, "UPDATE webhooks SET secret = 'of another key'")
        try:
            await office.until("it cannot read its webhooks", lambda: office.verdict() == ("False", "ServerError"))
        finally:
            await asyncio.to_thread(store, "DELETE FROM webhooks")

    play(namespace, scene)
    database.dispose()
