"""What a gateway needs, against a real API server: Services that belong to Deployments, and a route over them."""

import asyncio
from dataclasses import replace
from typing import Any

from kubernetes.aio.client import ApiClient
from modelvane.cluster.kube import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, SERVICE, Kube, connect
from modelvane.cluster.manifests import build_deployment
from modelvane.cluster.routing import apply_routing, find_backends, read_route_state
from modelvane.engine.memory import Memory
from modelvane.engine.state import Key, Live, Observed, Plan, Revision, Split
from modelvane.engine.traffic import routed
from modelvane.names import API_VERSION

from tests.unit.operator.builder import HASH, a_deployment, revision, workload

GATEWAY = {"parentRefs": [{"name": "nobody"}], "path": "/iris"}


async def make_deployment(kube: Kube, o: Observed) -> dict[str, Any]:
    """Make a ModelDeployment, which nobody looks after here, so that its children have an owner."""
    resource = {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": o.name, "namespace": o.namespace},
        "spec": {"model": {"name": "iris", "stage": "Production"}, "gateway": GATEWAY},
    }
    await kube.apply(MODEL_DEPLOYMENT, resource)
    found = await kube.get(MODEL_DEPLOYMENT, o.namespace, o.name)
    assert found is not None
    return found


async def look(kube: Kube, key: Key, o: Observed) -> Observed:
    """Read the Services of the revisions and the route, as the operator does."""
    services = await kube.list(SERVICE, key.namespace, "")
    state = await read_route_state(kube, key, o.spec, o.uid, True)
    live = Live(route=state.get("route"), backends=find_backends(services, o.workloads))
    return replace(o, live=live)


async def run(namespace: str, client: ApiClient) -> None:
    kube, key = Kube(client), Key("ModelDeployment", namespace, "iris")
    o = a_deployment().with_spec(gateway=GATEWAY).but(namespace=namespace).observed()
    o = replace(o, uid=(await make_deployment(kube, o))["metadata"]["uid"])
    workloads = []
    for version in ("1", "2"):
        manifest = build_deployment(o, Revision(version, HASH), 0, "image:1")
        await kube.apply(DEPLOYMENT, manifest)
        made = await kube.get(DEPLOYMENT, namespace, manifest["metadata"]["name"])
        assert made is not None
        workloads.append(replace(workload(version), uid=made["metadata"]["uid"]))
    o = replace(o, workloads=tuple(workloads))

    await apply_routing(kube, key, await look(kube, key, o), Plan(Memory()))
    seen = await look(kube, key, o)
    assert set(seen.live.backends) == {revision("1"), revision("2")}
    assert seen.live.route is None

    split = Split(((revision("1"), 90), (revision("2"), 10)))
    await apply_routing(kube, key, seen, Plan(Memory(), split=split))
    seen = await look(kube, key, o)
    assert routed(seen) == {revision("1"): 90, revision("2"): 10}

    await apply_routing(kube, key, seen, Plan(Memory()))
    assert routed(await look(kube, key, o)) == routed(seen)

    await apply_routing(kube, key, seen, Plan(Memory(), split=Split(())))
    seen = await look(kube, key, o)
    assert (seen.live.route, len(seen.live.backends)) == (None, 2)

    await apply_routing(kube, key, seen, Plan(Memory(), split=Split(((revision("2"), 100),))))
    seen = await look(kube, key, o)
    assert routed(seen) == {revision("2"): 100}
    without = a_deployment().observed().spec
    await apply_routing(kube, key, replace(seen, spec=without), Plan(Memory()))
    assert await kube.get(HTTP_ROUTE, namespace, "iris") is None
    assert (await look(kube, key, o)).live.backends == {}


def test_the_route_follows_the_split_and_goes_when_there_is_nobody_to_send_to(namespace: str) -> None:
    async def work() -> None:
        client = await connect()
        try:
            await run(namespace, client)
        finally:
            await client.close()  # type: ignore[no-untyped-call]

    asyncio.run(work())
