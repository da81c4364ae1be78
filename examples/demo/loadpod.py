"""The load generator as a pod: started, followed line by line, ended so that no answer is left uncounted."""

from __future__ import annotations

import io
import json
import subprocess
import threading
import time
from pathlib import Path

import yaml

from examples.demo import traffic
from examples.demo.kube import Namespace

HERE = Path(__file__).parent


class LoadPod:
    """One running load generator."""

    def __init__(self, namespace: Namespace, image: str) -> None:
        self._namespace, self._image = namespace, image
        self._seconds: list[traffic.Second] = []
        self._reader: threading.Thread | None = None
        self._logs: subprocess.Popen[str] | None = None

    def start(self, url: str, body: object, *, rate: int = 120, hold: tuple[float, ...] = (5,)) -> None:
        """Start sending to a URL inside the cluster and return when the first answers are counted."""
        program = {"load.py": (HERE / "load.py").read_text(), "body.json": json.dumps(body)}
        pod = yaml.safe_load((HERE / "load-pod.yaml").read_text())
        container = pod["spec"]["containers"][0]
        container["image"] = self._image
        container["args"] = [f"--url={url}", "--body=/program/body.json", f"--rate={rate}"]
        container["args"] += ["--hold", *(str(seconds) for seconds in hold)]
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load"}, "data": program}
        self.remove()
        self._namespace.apply(config_map, pod)
        self._namespace.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=60s", seconds=70)
        self._logs = subprocess.Popen(
            ["kubectl", "--namespace", self._namespace.name, "logs", "--follow", "load"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._logs,), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + 40
        while not self.so_far().answered:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the load generator has no answer from {url} after 40 s: {self.so_far().errors()}")
            time.sleep(0.1)

    def so_far(self) -> traffic.Traffic:
        """Return what has been counted up to now."""
        return traffic.Traffic(list(self._seconds))

    def stop(self) -> traffic.Traffic:
        """End the sending, wait for what is under way, and return all that was counted."""
        if self._reader is None:
            return self.so_far()
        self._namespace.kubectl("exec", "load", "--", "sh", "-c", "kill -TERM 1")
        self._reader.join(timeout=20)
        if not self._seconds or not self._seconds[-1].done:
            raise TimeoutError("the load generator did not end, so its last second is not counted")
        self.remove()
        return self.so_far()

    def remove(self) -> None:
        """Delete the pod and its program, whatever state they are in."""
        if self._logs is not None:
            self._logs.kill()
            self._logs.wait()
        if self._reader is not None:
            self._reader.join()
        self._logs = self._reader = None
        self._namespace.kubectl("delete", "pod/load", "configmap/load", "--ignore-not-found", "--grace-period=1")

    def _read(self, logs: subprocess.Popen[str]) -> None:
        with logs.stdout or io.StringIO() as lines:
            for line in lines:
                if (second := traffic.parse(line)) is not None:
                    self._seconds.append(second)
