"""What a test acts on: a namespace with an operator of its own, a registered model, and traffic."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from examples.demo.install import install
from examples.demo.kube import Manifest, Namespace, conditions, is_true
from examples.demo.loadpod import LoadPod
from examples.demo.watch import Watch
from tests.e2e.history import FOREVER, History, Slack, read_moment
from tests.e2e.models import QUESTION, Trait
from tests.e2e.tracking import Images, Tracking
from tests.e2e.waiting import eventually, throughout

RELEASE = "modelvane"
OPERATOR_PODS = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
CHILDREN = "app.kubernetes.io/managed-by=modelvane"
NAME = "served"
# Workers that renew their connection every 2 s, and workers that keep theirs until the server ends it.
CONNECTIONS = (2.0, 0.0)
BACK_WITHIN = 10.0
"""Seconds from a verdict until nobody is answered by the rejected version any more."""
ROUTED = Slack(new=5.0, kept=5.0)
"""Connections end at the gateway, so none stays with a pod; but a gateway takes a moment to hear of a new weight."""


@dataclass(frozen=True)
class Gateway:
    """A Gateway of the cluster: how routes name it and where it answers."""

    name: str
    address: str

    @property
    def parent(self) -> dict[str, str]:
        """Name it as a route does."""
        return {"name": self.name, "namespace": "gateway-system"}


TRAEFIK = Gateway("modelvane", "http://gateway.gateway-system.svc")
ENVOY = Gateway("envoy", "http://envoy.gateway-system.svc")
"""The one that can mirror requests."""


class Scene:
    """One test's own part of the cluster."""

    def __init__(self, namespace: Namespace, tracking: Tracking, images: Images) -> None:
        self.namespace = namespace
        self.tracking = tracking
        self.model = namespace.name
        self.images = images
        self.load = LoadPod(namespace, images.python)
        self._watch: Watch | None = None

    def install_operator(self, *, flags: tuple[str, ...] = (), **changed: Any) -> None:
        """Install the operator for this namespace alone, or upgrade it; later values win."""
        own = {
            "watch": {"namespaces": [self.namespace.name]},
            "crds": {"install": False},
            "registry": {"create": True, "uri": self.tracking.address, "pollInterval": "1s"},
        }
        install(self.namespace, RELEASE, "modelvane", self.images.modelvane, own, changed, flags=flags)

    def add_version(self, trait: Trait = Trait.GOOD) -> str:
        """Register one more version of this test's model."""
        return self.tracking.add_version(self.model, trait)

    def promote(self, version: str) -> None:
        """Put a version into Production, and archive the one that was there."""
        self.tracking.registry().move_to("Production", self.model, version)

    def archive(self, version: str) -> None:
        """Take a version out of Production."""
        self.tracking.registry().move_to("Archived", self.model, version)

    def set_alias(self, version: str) -> None:
        """Point the alias `champion` to a version."""
        self.tracking.registry().client.set_registered_model_alias(self.model, "champion", version)

    def deploy(self, pointer: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Apply a ModelDeployment of this test's model; fields of the spec given here win."""
        whole = {
            "model": {"name": self.model, **(pointer or {"stage": "Production"})},
            "replicas": 1,
            "strategy": {"scaleDownDelay": "2s"},
            **spec,
        }
        kind = {"apiVersion": "serving.modelvane.dev/v1alpha1", "kind": "ModelDeployment"}
        self.namespace.apply({**kind, "metadata": {"name": NAME}, "spec": whole})

    def serve(self, **spec: Any) -> str:
        """Register a version, promote it, deploy it, and wait until it serves."""
        version = self.add_version()
        self.promote(version)
        self.deploy(**spec)
        self.until_serves(version)
        return version

    def patch(self, spec: Mapping[str, Any]) -> None:
        """Change fields of the ModelDeployment's spec."""
        self.namespace.kubectl("patch", "mvd", NAME, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def annotate(self, request: str, value: str) -> None:
        """Ask the operator for something by annotation."""
        self.namespace.kubectl("annotate", "--overwrite", "mvd", NAME, f"serving.modelvane.dev/{request}={value}")

    def kill_operator(self) -> None:
        """Kill the operator's pods without a word; others take their place."""
        self.namespace.kubectl("delete", "pods", f"--selector={OPERATOR_PODS}", "--force", "--grace-period=0")

    def deployment(self) -> Manifest:
        """Read the ModelDeployment."""
        return self.namespace.get("mvd", NAME)

    def status(self) -> Manifest:
        """Read the ModelDeployment's status."""
        status: Manifest = self.deployment().get("status", {})
        return status

    def until(self, what: str, holds: Callable[[Manifest], bool], *, seconds: float = 60) -> Manifest:
        """Wait for a fact about the ModelDeployment and return it as it is then."""
        return eventually(what, self.deployment, holds, seconds=seconds, show=status_line)

    def until_seen(self, what: str, holds: Callable[[Manifest], bool], *, seconds: float = 60) -> Manifest:
        """Wait for a fact that may hold for a moment only: what counts is all that the watch has seen."""
        watch = self._watch
        assert watch is not None, "nobody watches: start_traffic or watch"
        found = eventually(
            what,
            lambda: [one.resource for one in watch.seen()],
            lambda seen: any(map(holds, seen)),
            seconds=seconds,
            show=lambda seen: status_line(seen[-1]) if seen else "nothing",
        )
        return next(filter(holds, found))

    def stays_for(self, seconds: float, what: str, holds: Callable[[Manifest], bool]) -> None:
        """Fail if a fact about the ModelDeployment does not hold for some seconds."""
        throughout(what, self.deployment, holds, seconds=seconds, show=status_line)

    def until_serves(self, version: str, *, seconds: float = 90) -> Manifest:
        """Wait until a version serves alone with all its pods, and the status is about the present spec."""
        return self.until(f"version {version} serves alone", lambda seen: serves(seen, version), seconds=seconds)

    def until_weight(self, weight: int, *, seconds: float = 60) -> Manifest:
        """Wait until the candidate has a share of the traffic."""
        return self.until(
            f"the candidate has {weight}% of the traffic",
            lambda seen: candidate(seen).get("weight") == weight,
            seconds=seconds,
        )

    def until_rejected(self, version: str, *, seconds: float = 60) -> Manifest:
        """Wait until a version is rejected and return the record of it."""
        seen = self.until(f"version {version} is rejected", lambda seen: bool(rejected(seen, version)), seconds=seconds)
        return rejected(seen, version)[-1]

    def children(self, kind: str) -> list[Manifest]:
        """Read the resources of a kind that the operator made."""
        return self.namespace.get_all(kind, CHILDREN)

    def pods(self) -> list[Manifest]:
        """Read the pods that serve or will; those that are on their way out are left out."""
        return [pod for pod in self.children("pods") if "deletionTimestamp" not in pod["metadata"]]

    def until_revisions(self, count: int) -> list[Manifest]:
        """Wait until there are as many Deployments of revisions and return them."""
        return eventually(
            f"{count} Deployments of revisions",
            lambda: self.children("deployments"),
            lambda found: len(found) == count,
            show=lambda found: ", ".join(one["metadata"]["name"] for one in found),
        )

    def routed(self, gateway: Gateway) -> dict[str, Any]:
        """Return the `gateway` of a spec that is reached under a path of this scene's own."""
        return {"parentRefs": [gateway.parent], "path": f"/{self.namespace.name}"}

    def start_traffic(self, gateway: Gateway | None = None, *, rate: int = 120) -> None:
        """Send requests to the Service, or through a gateway, until the traffic is ended; note what the status says."""
        url = f"http://{NAME}/invocations"
        if gateway is not None:
            url = f"{gateway.address}/{self.namespace.name}/invocations"
            self.until("the route is accepted", lambda seen: is_true(seen, "RouteAccepted"))
        self.watch()
        self.load.start(url, QUESTION, rate=rate, hold=CONNECTIONS)

    def watch(self) -> None:
        """Note what the status says from now on."""
        collection = f"/apis/serving.modelvane.dev/v1alpha1/namespaces/{self.namespace.name}/modeldeployments"
        self._watch = Watch(f"{collection}?fieldSelector=metadata.name={NAME}")

    def end_traffic(
        self, *, versions: set[str], failing: Collection[str] = (), slack: Slack | None = None, rate: float = 100
    ) -> History:
        """End the traffic. Each request must have been answered, by a version that was to answer it at that moment.

        `failing` versions may fail what they get while they are to get it; `versions` are those that answered well.
        """
        traffic = self.load.stop()
        history = self._history(slack or Slack())
        self.close()
        print(f"\n{traffic.sent} requests at {traffic.rate():.0f}/s, {traffic.failed} failed: {traffic.errors()}")
        faults = history.faults(failing)
        assert not faults, f"of {traffic.sent} requests: " + "; ".join(faults[:8])
        assert traffic.versions == versions, f"answers came from versions {sorted(traffic.versions)}"
        assert traffic.rate() >= rate, f"only {traffic.rate():.0f} requests a second were sent"
        return history

    def _history(self, slack: Slack) -> History:
        seen = self._watch.seen() if self._watch else []
        return History([read_moment(one.at, one.resource) for one in seen], self.load.so_far().replies, slack)

    def close(self) -> None:
        """End what runs beside the test."""
        if self._watch is not None:
            self._watch.close()
        self._watch = None
        self.load.remove()

    def split_over(self, requests: int, version: str, weight: int) -> None:
        """Count answers from now on: a version's share of them must be its weight, within three sigma."""
        start = len(self.load.so_far().seconds) + 2  # The gateway has the weight by then.
        counted = eventually(
            f"{requests} answers",
            lambda: self.load.so_far().seconds[start:],
            lambda seconds: sum(second.answered for second in seconds) >= requests,
            seconds=120,
            show=lambda seconds: f"{sum(second.answered for second in seconds)} answers",
        )
        total = sum(second.answered for second in counted)
        share, wanted = sum(second.count(version) for second in counted) / total, weight / 100
        sigma = math.sqrt(wanted * (1 - wanted) / total)
        told = f"{share:.2%} of {total} answers are by version {version}, asked for {weight}%"
        assert abs(share - wanted) <= 3 * sigma, told
        print(f"{told}: {abs(share - wanted) / sigma:.2f} sigma")

    def until_all_answers_are_by(self, version: str, *, seconds: float = 30) -> None:
        """Wait until three lines of the load generator in a row name no other version."""
        eventually(
            f"all answers are by version {version}",
            lambda: [set(second.versions) for second in self.load.so_far().seconds[-3:]],
            lambda lines: all(versions == {version} for versions in lines),
            seconds=seconds,
        )


def back_within(history: History, rejection: Manifest, *, until: float = FOREVER) -> float:
    """Return how many seconds after its verdict, which is cut to seconds, a version gave its last answer.

    A version that is tried again answers anew: `until` is when that was asked for.
    """
    verdict = datetime.fromisoformat(rejection["at"]).timestamp()
    last = {
        name: history.last_answer(rejection["version"], since=verdict, until=until, kept=kept)
        for name, kept in (("kept", True), ("new", False))
    }
    seconds = max([at - verdict for at in last.values() if at], default=0.0)
    told = ", ".join(f"{name} {at - verdict:.1f} s" for name, at in last.items() if at)
    print(f"{rejection['reason']}: all traffic was back {seconds:.1f} s after the verdict ({told or 'none was away'})")
    assert seconds < BACK_WITHIN, f"version {rejection['version']} answered for {seconds:.1f} s after its verdict"
    return seconds


def serves(deployment: Manifest, version: str) -> bool:
    """Tell whether a version serves alone, with all its pods, for the present spec."""
    status = deployment.get("status", {})
    stable = status.get("stable", {})
    return (
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and stable.get("version") == version
        and not candidate(deployment)
        and stable.get("readyReplicas") == deployment["spec"]["replicas"]
        and is_true(deployment, "Ready")
    )


def rejected(deployment: Manifest, version: str) -> list[Manifest]:
    """Return the records of a version's rejections."""
    return [one for one in deployment.get("status", {}).get("rejected", []) if one["version"] == version]


def candidate(deployment: Manifest) -> Manifest:
    """Return what the status says of the candidate, empty if there is none."""
    found: Manifest = deployment.get("status", {}).get("candidate", {})
    return found


def handled(deployment: Manifest) -> Manifest:
    """Return the requests of people that the operator has answered, empty before the first."""
    found: Manifest = deployment.get("status", {}).get("handled", {})
    return found


def status_line(deployment: Manifest) -> str:
    """Say in one line what a ModelDeployment's status says."""
    status = deployment.get("status", {})
    parts = [
        f"{part} {status[part]}" for part in ("phase", "desired", "stable", "candidate", "rejected") if part in status
    ]
    told = [f"{kind}={one['status']} {one['reason']}: {one['message']}" for kind, one in conditions(deployment).items()]
    return "; ".join([*parts, *told]) or "no status"
