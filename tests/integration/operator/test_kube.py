"""The client against a real API server: what is written, what is refused, and what must never happen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, CoordinationV1Api, V1Lease, V1ObjectMeta
from modelvane.cluster.kube import DEPLOYMENT, SERVICE, Kube, RefusedError, connect
from modelvane.cluster.leader import lead
from modelvane.cluster.manifests import build_deployment, build_service, differs
from modelvane.engine.state import Revision, Traffic
from modelvane.queue import TryAgainError

from tests.unit.operator.builder import HASH, a_deployment, revision


def with_client(work: Callable[[ApiClient], Awaitable[None]]) -> None:
    async def run() -> None:
        client = await connect()
        try:
            await work(client)
        finally:
            await client.close()  # type: ignore[no-untyped-call]

    asyncio.run(run())


def orphan(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    """Take off the owner, which does not exist here and would have the object collected."""
    manifest["metadata"].pop("ownerReferences")
    manifest["metadata"]["name"] = name
    return manifest


def test_an_applied_service_does_not_differ_from_what_is_wanted(namespace: str) -> None:
    async def work(client: ApiClient) -> None:
        kube, o = Kube(client), a_deployment().but(namespace=namespace).observed()
        for traffic in (Traffic(revision("1")), Traffic(None), Traffic(revision("2"))):
            wanted = orphan(build_service(o, traffic), "service")
            await kube.apply(SERVICE, wanted)
            live = await kube.get(SERVICE, namespace, "service")
            assert live is not None
            assert not differs(wanted, live)
            assert live["spec"]["selector"] == wanted["spec"]["selector"]

    with_client(work)


def test_a_deployment_is_scaled_without_touching_its_template(namespace: str) -> None:
    async def work(client: ApiClient) -> None:
        kube, o = Kube(client), a_deployment().but(namespace=namespace).observed()
        await kube.apply(DEPLOYMENT, orphan(build_deployment(o, Revision("1", HASH), 0, "image:1"), "scaled"))
        before = await kube.get(DEPLOYMENT, namespace, "scaled")
        assert before is not None
        await kube.scale(namespace, "scaled", before["metadata"]["uid"], 1)
        after = await kube.get(DEPLOYMENT, namespace, "scaled")
        assert after is not None
        assert after["spec"]["replicas"] == 1
        assert after["spec"]["template"] == before["spec"]["template"]
        with pytest.raises(TryAgainError):
            await kube.scale(namespace, "scaled", "00000000-0000-0000-0000-000000000000", 5)

    with_client(work)


def test_a_stale_delete_deletes_nothing(namespace: str) -> None:
    async def work(client: ApiClient) -> None:
        kube, o = Kube(client), a_deployment().but(namespace=namespace).observed()
        await kube.apply(SERVICE, orphan(build_service(o, Traffic(None)), "stale"))
        seen = await kube.get(SERVICE, namespace, "stale")
        assert seen is not None
        metadata = seen["metadata"]
        with pytest.raises(TryAgainError):
            await kube.delete(SERVICE, namespace, "stale", metadata["uid"], "1")
        await kube.delete(SERVICE, namespace, "stale", metadata["uid"], metadata["resourceVersion"])
        assert await kube.get(SERVICE, namespace, "stale") is None
        await kube.delete(SERVICE, namespace, "stale", metadata["uid"], metadata["resourceVersion"])

    with_client(work)


def test_a_refusal_carries_the_api_servers_words(namespace: str) -> None:
    async def work(client: ApiClient) -> None:
        o = a_deployment().with_spec(template={"spec": {"restartPolicy": "Never"}}).but(namespace=namespace).observed()
        manifest = build_deployment(o, Revision("1", HASH), 1, "image:1")
        with pytest.raises(RefusedError, match='restartPolicy: Unsupported value: "Never"'):
            await Kube(client).apply(DEPLOYMENT, manifest)

    with_client(work)


def test_leadership_passes_on_when_the_leader_leaves(namespace: str) -> None:
    async def work(client: ApiClient) -> None:
        lease = V1Lease(metadata=V1ObjectMeta(name="modelvane"))
        await CoordinationV1Api(client).create_namespaced_lease(namespace, lease)
        acting: list[str] = []

        def candidate(name: str) -> asyncio.Task[None]:
            async def act() -> None:
                acting.append(name)
                await asyncio.Event().wait()

            return asyncio.create_task(lead(client, "modelvane", namespace, name, act))

        async def leader(name: str) -> None:
            async with asyncio.timeout(60):
                while name not in acting:
                    await asyncio.sleep(0.1)

        first = candidate("first")
        await leader("first")
        second = candidate("second")
        await asyncio.sleep(3)
        assert acting == ["first"]
        first.cancel()
        await leader("second")
        second.cancel()
        await asyncio.wait({first, second})

    with_client(work)
