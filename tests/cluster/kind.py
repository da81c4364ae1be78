"""kind: a node that runs as a container of Docker or Podman.

The commands are data, so that what would be run can be checked where no container engine is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from images.build import Built
from tests.cluster import Failure, gateway, places, preflight, project_images, tools
from tests.cluster.components import render
from tests.cluster.steps import say, step

CONFIG = places.HERE / "kind.yaml"
BINARIES = (tools.KIND, tools.METRICS, tools.CLIENT)
Command = list[str]


def node_image() -> str:
    """Return the node image that the configuration pins."""
    return str(yaml.safe_load(CONFIG.read_text())["nodes"][0]["image"])


def image_commands(engine: str) -> list[Command]:
    """Return the commands of which one must succeed for an engine to have the node image: look, then pull."""
    return [[engine, "image", "inspect", node_image()], [engine, "pull", "--quiet", node_image()]]


def create_commands(kind: str, kubectl: str, name: str, kubeconfig: Path) -> list[Command]:
    """Return the commands of ``up``; the last one reads the manifest of metrics-server."""
    metrics = str(tools.folder_of(tools.METRICS) / "images.tar")
    return [
        [kind, "create", "cluster", "--name", name, f"--config={CONFIG}", f"--kubeconfig={kubeconfig}", "--wait=120s"],
        [kind, "load", "image-archive", metrics, "--name", name],
        [kubectl, f"--kubeconfig={kubeconfig}", "apply", "--server-side", "--filename=-"],
    ]


def load_commands(kind: str, name: str, images: list[Built]) -> list[Command]:
    """Return the commands that bring image archives into the node."""
    return [[kind, "load", "image-archive", str(image.archive), "--name", name] for image in images]


def delete_command(kind: str, name: str, kubeconfig: Path) -> Command:
    """Return the command of ``down``."""
    return [kind, "delete", "cluster", "--name", name, f"--kubeconfig={kubeconfig}"]


class KindCluster:
    """A cluster made by kind, with a kubeconfig of its own: the user's is never written to."""

    kind = "kind"

    def __init__(self, name: str) -> None:
        self.name = name
        self.kubeconfig = places.cache() / "kind" / name / "kubeconfig"

    def exists(self) -> bool:
        """Tell whether ``up`` began to create this cluster."""
        return self.kubeconfig.parent.exists()

    def is_possible(self) -> bool:
        """Tell whether an engine answers and its node image can be had."""
        if not any(map(preflight.answers, preflight.ENGINES)):
            return False
        with step("kind's node image (to use the local node instead: CLUSTER=local)"):
            return _engine() is not None

    def build(self) -> None:
        """Build kind itself, and the images of the project and of the extras."""
        project_images.build_all(BINARIES)

    def up(self) -> None:
        """Create the cluster unless it is there."""
        if self.status() == "up":
            say(f"cluster {self.name} is up (kind)")
            return
        if _engine() is None:
            raise Failure(f"kind needs Docker or Podman, and its node image {node_image()}: neither engine offers it")
        with project_images.built_meanwhile():
            tools.build(BINARIES)
            kubectl = str(tools.ensure().kubectl)
        if self.exists():
            self.down()
        self.kubeconfig.parent.mkdir(parents=True)
        text = (places.HERE / "metrics-server.yaml").read_text()
        manifest = render(text, cgroup="", images={"METRICS_SERVER_IMAGE": tools.image_ref("metrics-server")})
        create, load, apply = create_commands(_kind(), kubectl, self.name, self.kubeconfig)
        for text, command, given in (("create", create, ""), ("load images", load, ""), ("addons", apply, manifest)):
            with step(f"kind: {text}"):
                _run(command, given)

    def down(self) -> None:
        """Delete the cluster and its kubeconfig."""
        if not self.exists():
            say(f"cluster {self.name} is not up")
            return
        tools.build([tools.KIND])
        with step(f"kind: delete {self.name}"):
            _run(delete_command(_kind(), self.name, self.kubeconfig))
        shutil.rmtree(self.kubeconfig.parent)

    def status(self) -> str:
        """Say in a word whether the cluster runs."""
        if not self.kubeconfig.exists():
            return "not up"
        probe = [str(tools.ensure().kubectl), f"--kubeconfig={self.kubeconfig}", "get", "--raw=/readyz"]
        return "up" if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else "not answering"

    def load(self) -> None:
        """Load every image of the project, and add Traefik."""
        images = self._load(project_images.ALWAYS)
        gateway.install(self._kubectl, images)
        gateway.wait(self._kubectl)

    def load_extras(self) -> None:
        """Add a gateway that can mirror requests, and the image of Prometheus."""
        images = self._load(project_images.EXTRAS, *tools.build_images([tools.ENVOY, tools.PROMETHEUS]))
        gateway.install_envoy(self._kubectl, images)

    def _load(self, names: Sequence[str], *others: Built) -> list[Built]:
        """Load images; kind itself skips those that the node has."""
        tools.build([tools.KIND])
        images = project_images.ensure(names)
        wanted = [*images, *others]
        for image, command in zip(wanted, load_commands(_kind(), self.name, wanted), strict=True):
            with step(f"load {image.ref}"):
                _run(command)
        return images

    def _kubectl(self, *arguments: str, given: str | None = None) -> None:
        _run([str(tools.ensure().kubectl), f"--kubeconfig={self.kubeconfig}", *arguments], given or "")


def _kind() -> str:
    return str(tools.folder_of(tools.KIND) / "kind")


def _engine() -> str | None:
    """Return the engine that answers and has, or can pull, the node image."""
    for engine in filter(preflight.answers, preflight.ENGINES):
        if any(map(_succeeds, image_commands(engine))):
            return engine
    return None


def _succeeds(command: Command) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Command, given: str = "") -> None:
    environment = {**os.environ, "KIND_EXPERIMENTAL_PROVIDER": _engine() or preflight.ENGINES[0]}
    done = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)}:\n{done.stderr.strip()}")
