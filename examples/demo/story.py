"""The demo's story in order: install, train, serve, promote under traffic, refuse a broken version, sum up."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from examples.demo import jobs, timeline, view
from examples.demo.install import ROOT, image_values, install, may_install_crds, reference
from examples.demo.kube import Manifest, Namespace, wait_gone
from examples.demo.loadpod import LoadPod
from examples.demo.registry import Registry
from examples.demo.screen import Screen
from examples.demo.summary import FRAGILE, Promotion, Rollback, Summary, is_by
from examples.demo.watch import Watch

HERE = Path(__file__).parent
MODEL = "iris"
FLOWER = {
    "dataframe_split": {
        "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
        "data": [[5.1, 3.5, 1.4, 0.2]],
    },
}
RATE = 120
PATIENCE_SECONDS = 180
GROUP = "serving.modelvane.dev/v1alpha1"
PODS_OF_MODEL = f"labelSelector=serving.modelvane.dev%2Fmodeldeployment%3D{MODEL}"
EMBEDDED_STORES = {"embedded": {"postgresql": {"enabled": True}, "s3": {"enabled": True}}}
POLL_EVERY_SECOND = {"registry": {"create": True, "pollInterval": "1s"}}


class StoryFailedError(Exception):
    """The story did not go as it should; the message says where."""


@dataclass
class Story:
    """The demo on one namespace; its methods are its chapters, called in their order."""

    namespace: Namespace
    screen: Screen
    image: str = ""
    promotion: Promotion | None = None
    rejection: Manifest | None = None
    canary: tuple[timeline.Share, ...] = ()
    rollback: Manifest | None = None
    watches: list[Watch] = field(default_factory=list)

    def install(self) -> None:
        """Install both charts, and begin from nothing even if the demo ran before."""
        self.screen.heading("Install")
        with self.screen.step("Images of MLflow, operator and serving runtime"):
            mlflow_images, modelvane_images = image_values("mlflow"), image_values("modelvane")
            self.image = reference(mlflow_images["image"])
        with self.screen.step(f"Namespace {self.namespace.name}, PodSecurity restricted"):
            self.namespace.create()
        with self.screen.step("MLflow with PostgreSQL and S3"):
            install(self.namespace, "mlflow", "mlflow", mlflow_images, EMBEDDED_STORES)
        self.screen.note(
            "helm install mlflow charts/mlflow --set embedded.postgresql.enabled=true --set embedded.s3.enabled=true"
        )
        with self.screen.step("Modelvane: the operator, and a ModelRegistry that names this MLflow"):
            crds = {"crds": {"install": may_install_crds(self.namespace, "modelvane")}}
            # An operator for all namespaces would also act on whatever else is in the cluster.
            watch = {"watch": {"namespaces": [self.namespace.name]}}
            install(self.namespace, "modelvane", "modelvane", modelvane_images, POLL_EVERY_SECOND, watch, crds)
        self.screen.note("helm install modelvane charts/modelvane --set registry.create=true")

    def forget_last_run(self, registry: Registry) -> None:
        """Remove the model and the resources that an earlier run of the demo left."""
        if not self.namespace.get_all("modeldeployments") and not registry.has(MODEL):
            return
        with self.screen.step("Remove what the last run of the demo left"):
            self.namespace.kubectl("delete", "modeldeployment", MODEL, "--ignore-not-found")
            wait_gone(self.namespace, "deployments", f"serving.modelvane.dev/modeldeployment={MODEL}", seconds=60)
            registry.forget(MODEL)

    def serve_first_version(self, registry: Registry) -> None:
        """Train version 1, promote it, deploy it, and ask it something."""
        self.screen.heading("Serve version 1")
        self._train(registry, "train.py", "--regularization=0.01")
        self._promote(registry, "1")
        with self.screen.step("Apply examples/iris.yaml and wait until it is ready"):
            self.namespace.kubectl("apply", f"--filename={ROOT / 'examples' / 'iris.yaml'}")
            self.namespace.kubectl("wait", f"mvd/{MODEL}", "--for=condition=Ready", "--timeout=120s", seconds=130)
        self.screen.note(f"kubectl apply -n {self.namespace.name} -f examples/iris.yaml")
        with self.screen.step("Ask it about a flower") as outcome, self._service() as url:
            answer, version = ask(url)
            outcome.append(f"version {version} says {answer}")
        self.screen.note(
            f"kubectl port-forward -n {self.namespace.name} svc/{MODEL} 8080:80 &\n"
            f"curl localhost:8080/invocations -H 'content-type: application/json' \\\n  -d '{json.dumps(FLOWER)}'",
        )

    def roll_to_second_version(self, registry: Registry, load: LoadPod) -> None:
        """Promote version 2 under traffic and follow until it answers everything."""
        self.screen.heading("Promote version 2 under traffic")
        with self.screen.step(f"Start {RATE} requests a second from a pod, kept connections and new ones"):
            load.start(f"http://{MODEL}/invocations", FLOWER, rate=RATE)
        self._train(registry, "train.py", "--regularization=1.0")
        pods = self._watch(f"/api/v1/namespaces/{self.namespace.name}/pods?{PODS_OF_MODEL}")
        promoted = self._promote_and_follow(registry, load, "2", serving="2")
        traffic = load.so_far()
        first, last = traffic.first_answer("2"), traffic.last_answer("1")
        if first is None or last is None:
            raise StoryFailedError("the traffic did not move from version 1 to version 2")
        split = timeline.split(promoted, pods.seen(), "2", first)
        self.promotion = Promotion(first - promoted, max(first, last) - promoted, split)

    def refuse_third_version(self, registry: Registry, load: LoadPod) -> None:
        """Promote a version that cannot load and see it refused while version 2 serves on."""
        self.screen.heading("Promote version 3, which is broken")
        self._train(registry, "train_broken.py")
        self._promote_and_follow(registry, load, "3", serving="2")
        self.rejection = view.rejection(self._deployment(), "3")
        if self.rejection:
            self.screen.say(f"  Rejected: {self.rejection['reason']}: {self.rejection['message']}")

    def roll_to_fourth_version_by_canary(self, registry: Registry, load: LoadPod) -> None:
        """Give version 4 a third of the traffic, then half, and let it be judged at each step."""
        self.screen.heading("Roll out version 4 by canary: a third of the traffic, half of it, all of it")
        with self.screen.step("Apply examples/demo/iris-canary.yaml: steps, and an analysis of each"):
            self.namespace.kubectl("apply", f"--filename={HERE / 'iris-canary.yaml'}")
        self._train(registry, "train.py", "--regularization=10")
        self._promote_and_follow(registry, load, "4", serving="4")
        self.canary = tuple(timeline.shares(self.watches[-1].seen(), load.so_far(), "4"))

    def catch_fifth_version(self, registry: Registry, load: LoadPod) -> None:
        """Promote a version that only real traffic finds out, and see it rolled back."""
        self.screen.heading(f"Promote version {FRAGILE}, which passes its input example and fails on other flowers")
        self._train(registry, "train_fragile.py")
        self._promote_and_follow(registry, load, FRAGILE, serving="4")
        self.rollback = view.rejection(self._deployment(), FRAGILE)
        if self.rollback:
            self.screen.say(f"  Rolled back: {self.rollback['reason']}: {self.rollback['message']}")

    def summary(self, load: LoadPod) -> Summary:
        """End the traffic and return all the figures."""
        traffic = load.stop()
        never_answered = "3" not in traffic.versions
        served = view.serves_only(self._deployment(), "4")
        failed = [
            (second.at, sum(n for why, n in second.errors.items() if is_by(FRAGILE, why))) for second in traffic.seconds
        ]
        failing = [(at, count) for at, count in failed if count]
        rollback = None
        if served and self.rollback and failing:
            rollback = Rollback(self.rollback, sum(count for _, count in failing), failing[-1][0] - failing[0][0])
        return Summary(traffic, self.promotion, self.rejection if never_answered else None, self.canary, rollback)

    def close(self) -> None:
        """End what runs beside the story."""
        for watch in self.watches:
            watch.close()

    def _train(self, registry: Registry, script: str, *arguments: str) -> None:
        with self.screen.step(" ".join(["Train in the cluster:", script, *arguments])) as outcome:
            jobs.train(self.namespace, self.image, script, *arguments)
            outcome.append(registry.describe(MODEL))

    def _promote(self, registry: Registry, version: str) -> float:
        with self.screen.step(f"Promote version {version} to Production"):
            promoted = time.time()
            registry.move_to("Production", MODEL, version)
        self.screen.note(f'MlflowClient().transition_model_version_stage("{MODEL}", "{version}", "Production")')
        return promoted

    def _promote_and_follow(self, registry: Registry, load: LoadPod, version: str, *, serving: str) -> float:
        """Promote a version and draw the live table until all is settled: `serving` alone answers everything.

        If that is another version than the promoted one, the promoted one has to be rejected by then.
        """
        query = f"fieldSelector=metadata.name={MODEL}"
        deployments = self._watch(f"/apis/{GROUP}/namespaces/{self.namespace.name}/modeldeployments?{query}")
        promoted = self._promote(registry, version)
        deadline, settled_for, drawn = time.monotonic() + PATIENCE_SECONDS, 0, len(load.so_far().seconds)
        while settled_for < 3:
            time.sleep(0.1)
            traffic, deployment = load.so_far(), deployments.latest() or {}
            if len(traffic.seconds) > drawn:
                drawn, second = len(traffic.seconds), traffic.seconds[-1]
                since = second.at - promoted
                table = view.table(second, traffic, deployment, since)
                self.screen.live(table, view.line(second, traffic, deployment, since), view.what_goes_on(deployment))
                settled = view.serves_only(deployment, serving) and set(second.versions) == {serving}
                decided = serving == version or view.rejection(deployment, version) is not None
                settled_for = settled_for + 1 if settled and decided else 0
            if time.monotonic() > deadline:
                raise StoryFailedError(f"after {PATIENCE_SECONDS} s: {view.what_goes_on(deployment)}")
        self.screen.settle()
        return promoted

    def _watch(self, path: str) -> Watch:
        self.watches.append(Watch(path))
        return self.watches[-1]

    def _deployment(self) -> Manifest:
        return self.namespace.get("modeldeployment", MODEL)

    def _service(self) -> AbstractContextManager[str]:
        return self.namespace.port_forward(f"service/{MODEL}", 80)


def ask(url: str) -> tuple[str, str]:
    """Ask a served iris model about one flower; return its answer and the version that gave it."""
    request = urllib.request.Request(  # noqa: S310 - the URL is our own port-forward
        f"{url}/invocations", json.dumps(FLOWER).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        said = json.load(answer)
        return ", ".join(str(one) for one in said["predictions"]), answer.headers["Modelvane-Model-Version"]
