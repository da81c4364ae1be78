"""The local node: one real Kubernetes on this machine, in namespaces of its own.

``up`` prepares a state folder and starts the supervisor as PID 1 of new namespaces; ``down`` kills it and removes
the folder and the cgroup, which is all that can be left. A node that died is never started again from its state:
etcd runs without fsync, and a fresh cluster takes seconds.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from images.build import Built
from tests.cluster import (
    Failure,
    certs,
    cgroups,
    components,
    diagnosis,
    gateway,
    places,
    preflight,
    project_images,
    tools,
    versions,
)
from tests.cluster.steps import say, step

# Generous: a machine that builds images meanwhile is ten times slower than an idle one.
API_SECONDS = 180
READY_SECONDS = 180
# Shell, because it can join the cgroup and then become the node: at no moment is there a process that is neither.
JOIN = 'for file in $JOIN; do echo 0 > "$file" || exit; done; exec "$@"'
NAMESPACES = ("--pid", "--mount", "--net", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child=KILL")
BINARIES = (tools.NODE, tools.METRICS, tools.CLIENT)


class LocalNode:
    """A cluster of one node that runs as processes of this machine."""

    kind = "local"

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = places.state(name)
        self.kubeconfig = self.state / "kubeconfig"
        # Written last by `up`: without it, a node whose API answers is one whose `up` was killed halfway.
        self.complete = self.state / "complete"

    def exists(self) -> bool:
        """Tell whether there is something that ``down`` would remove."""
        return self.state.exists() or bool(cgroups.processes(self.name))

    def build(self) -> None:
        """Build the binaries and images of the node, of the project and of the extras."""
        preflight.check()
        project_images.build_all(BINARIES)

    def up(self) -> None:
        """Start the node unless it runs; return when it is Ready and DNS answers."""
        if self.is_up():
            say(f"cluster {self.name} is up (local node)")
            return
        preflight.check()
        with project_images.built_meanwhile():
            binaries = tools.build(BINARIES)
            tools.ensure()
        with self._lock():
            if self.is_up():
                return
            if cgroups.processes(self.name) or any(self.state.iterdir()):
                with step("remove what is left of a node that died, or was never ready"):
                    self._remove(keep_folder=True)
            try:
                self._start(binaries)
                self.complete.touch()
                say(f"cluster {self.name} is up (local node, Kubernetes {versions.kubernetes()})")
            except BaseException:
                cgroups.kill(self.name)
                say(f"the logs are in {self.state / 'logs'}")
                raise

    def down(self) -> None:
        """Stop the node and remove every trace of it."""
        if not self.exists():
            cgroups.remove(self.name)
            say(f"cluster {self.name} is not up")
            return
        with self._lock(), step(f"stop cluster {self.name}"):
            self._remove()

    def status(self) -> str:
        """Say in a word whether the node runs."""
        if self.is_up():
            return "up"
        if cgroups.processes(self.name):
            return "not answering, or not yet"
        return "dead" if self.state.exists() else "not up"

    def load(self) -> None:
        """Import the project's images that the node lacks, building those that are not built; add Traefik."""
        images = self._load(project_images.ALWAYS)
        gateway.install(self._kubectl, images)
        with step("metrics-server answers"):
            # Its API group fails discovery until it has measured twice, which confuses clients that list all groups.
            self._kubectl("wait", "apiservice/v1beta1.metrics.k8s.io", "--for=condition=Available", "--timeout=90s")
        gateway.wait(self._kubectl)

    def load_extras(self) -> None:
        """Add a gateway that can mirror requests, and the image of Prometheus."""
        images = self._load(project_images.EXTRAS, *tools.build_images([tools.ENVOY, tools.PROMETHEUS]))
        gateway.install_envoy(self._kubectl, images)

    def _load(self, names: Sequence[str], *others: Built) -> list[Built]:
        if not self.is_up():
            raise Failure(f"cluster {self.name} is not up: make up")
        have = self._ctr("images", "ls", "-q").split()
        images = project_images.ensure(names)
        missing = [image for image in (*images, *others) if image.ref not in have]
        # Two at a time: unpacking a layer keeps one core busy.
        with step(f"load {len(missing)} of the images"), ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda image: self._ctr("images", "import", str(image.archive)), missing))
        return images

    def is_up(self) -> bool:
        """Tell whether ``up`` has finished and the node still answers."""
        return self.complete.exists() and self.is_ready()

    def is_ready(self) -> bool:
        """Tell whether the API server answers and says that it is ready."""
        if not self.kubeconfig.exists():
            return False
        server = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        context = ssl.create_default_context(cafile=self.state / "pki" / "ca.crt")
        try:
            with urllib.request.urlopen(f"{server}/readyz", context=context, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _start(self, binaries: dict[tools.Group, Path]) -> None:
        with step("certificates and configuration"):
            listener = self._prepare()
        node = self._spawn(binaries[tools.NODE], listener)
        with ThreadPoolExecutor() as pool, step("containerd, etcd, API server"):
            imported = pool.submit(self._import_addons, node, binaries)
            self._until(node, "the API server answers", API_SECONDS, self.is_ready)
            imported.result()
        with step("DNS, storage class, metrics-server"):
            self._apply()
        with step("node and DNS ready"):
            rollout = ["rollout", "status", "deployment/coredns", "-n", "kube-system", f"--timeout={READY_SECONDS}s"]
            self._kubectl(*rollout)

    def _prepare(self) -> socket.socket:
        """Write all that the node reads, and open the socket that its API is reached by."""
        for folder in ("bin", "config/cni", "config/sysctl/vm", "config/sysctl/kernel/keys", "lib", "log", "logs"):
            (self.state / folder).mkdir(parents=True)
        (self.state / "tmp").mkdir()
        (self.state / "tmp").chmod(0o1777)
        pki = self.state / "pki"
        certs.create(pki, certs.requests(components.NODE, components.NODE_IP, components.SERVICE_IP))
        config = self.state / "config"
        for source in (places.HERE / "config").iterdir():
            target = config / "cni" / source.name if source.suffix == ".conflist" else config / source.name
            target.write_text(self._rendered(source))
        for name, value in components.KERNEL_SETTINGS.items():
            (config / "sysctl" / name).write_text(value + "\n")
        for user in ("controller-manager", "scheduler", "kubelet", "kube-proxy"):
            paths = (f"{components.PKI}/ca.crt", f"{components.PKI}/{user}.crt", f"{components.PKI}/{user}.key")
            inside = f"https://127.0.0.1:{components.API_PORT}"
            (config / f"{user}.kubeconfig").write_text(components.build_kubeconfig(inside, *paths, user))
        (self.state / "plan.json").write_text(json.dumps(components.build_plan(), indent=2))
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        outside = f"https://127.0.0.1:{listener.getsockname()[1]}"
        paths = (str(pki / "ca.crt"), str(pki / "admin.crt"), str(pki / "admin.key"))
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(components.build_kubeconfig(outside, *paths, f"modelvane-{self.name}"))
        return listener

    def _rendered(self, source: Path) -> str:
        refs = {
            "PAUSE_IMAGE": tools.image_ref("pause"),
            "COREDNS_IMAGE": tools.image_ref("coredns"),
            "METRICS_SERVER_IMAGE": tools.image_ref("metrics-server"),
        }
        return components.render(source.read_text(), cgroup=cgroups.name_of(self.name), images=refs)

    def _spawn(self, binaries: Path, listener: socket.socket) -> subprocess.Popen[bytes]:
        join = " ".join(map(str, cgroups.create(self.name)))
        supervisor = [sys.executable, "-m", "tests.cluster.supervisor", str(self.state), str(binaries)]
        with listener, (self.state / "logs" / "supervisor.log").open("ab") as log:
            return subprocess.Popen(
                ["sh", "-c", JOIN, "sh", "unshare", *NAMESPACES, *supervisor, str(listener.fileno())],
                cwd=places.ROOT,
                env={**os.environ, "JOIN": join, "PATH": preflight.SEARCH},
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Not part of the terminal's group: Ctrl-C after `up` is not for the node.
                start_new_session=True,
            )

    def _until(self, node: subprocess.Popen[bytes], what: str, seconds: float, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if node.poll() is not None:
                raise Failure(f"the node ended before {what}\n{self._log_lines()}")
            if time.monotonic() > deadline:
                raise Failure(f"after {seconds:.0f} s it is still not so that {what}\n{self._log_lines()}")
            time.sleep(0.05)

    def _import_addons(self, node: subprocess.Popen[bytes], binaries: dict[tools.Group, Path]) -> None:
        self._until(node, "containerd answers", API_SECONDS, (self.state / "containerd.sock").exists)
        for group in (tools.NODE, tools.METRICS):
            self._ctr("images", "import", str(binaries[group] / "images.tar"))

    def _apply(self) -> None:
        manifests = "\n---\n".join(
            self._rendered(places.HERE / name) for name in ("addons.yaml", "metrics-server.yaml")
        )
        self._kubectl("apply", "--server-side", "--filename=-", given=manifests)

    def _kubectl(self, *arguments: str, given: str | None = None) -> None:
        command = [str(tools.ensure().kubectl), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}\n{self._log_lines()}")

    def _ctr(self, *arguments: str) -> str:
        ctr = tools.folder_of(tools.NODE) / "ctr"
        command = [str(ctr), "--address", str(self.state / "containerd.sock"), "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(f"ctr {' '.join(arguments)}: {done.stderr.strip()}\n{self._log_lines()}")
        return done.stdout

    def _log_lines(self) -> str:
        """Return the lines that say why."""
        texts = {log.stem: log.read_text(errors="replace") for log in (self.state / "logs").glob("*.log")}
        return diagnosis.telling(texts)

    def _remove(self, *, keep_folder: bool = False) -> None:
        cgroups.kill(self.name)
        cgroups.remove(self.name)
        # Unpacked images are 50,000 files and more, for which rm takes a fraction of the time that shutil does.
        subprocess.run(["rm", "-rf", "--one-file-system", *self.state.iterdir()], check=True)
        if not keep_folder:
            self.state.rmdir()
            with suppress(OSError):
                places.STATE.rmdir()  # unless another cluster is in it

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one command at a time change this cluster.

        The lock is on the state folder, so it leaves no file behind; a folder that was removed while we waited for it
        is not the one to hold.
        """
        while True:
            self.state.mkdir(parents=True, exist_ok=True)
            folder = os.open(self.state, os.O_RDONLY | os.O_DIRECTORY)
            try:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say(f"waiting for another command to finish with cluster {self.name}")
                    fcntl.flock(folder, fcntl.LOCK_EX)
                if self.state.exists() and os.path.samestat(os.fstat(folder), self.state.stat()):
                    yield
                    return
            finally:
                os.close(folder)
