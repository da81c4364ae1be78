"""Runs a training script in the cluster, as the Job of `train-job.yaml`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import yaml

from examples.demo.kube import Namespace, is_true

HERE = Path(__file__).parent
SCRIPTS = ("train.py", "train_broken.py", "train_fragile.py")


class JobFailedError(Exception):
    """A training Job failed; the message is the end of its log."""


def train(namespace: Namespace, image: str, script: str, *arguments: str, seconds: float = 180) -> str:
    """Run a script to its end and return the last line that it printed."""
    job = yaml.safe_load((HERE / "train-job.yaml").read_text())
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["image"] = image
    container["command"][-1] = f"/program/{script}"
    container["args"] = list(arguments)
    programs = {name: (HERE / name).read_text() for name in SCRIPTS}
    namespace.kubectl("delete", "job/train", "--ignore-not-found", "--wait")
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "train"}, "data": programs}, job)
    deadline = time.monotonic() + seconds
    while True:
        found = namespace.get("job", "train")
        if is_true(found, "Complete"):
            return namespace.kubectl("logs", "job/train").splitlines()[-1]
        if is_true(found, "Failed"):
            raise JobFailedError(
                f"the Job that runs {script} failed:\n{namespace.kubectl('logs', 'job/train', '--tail=15')}"
            )
        if time.monotonic() > deadline:
            status = json.dumps(found.get("status", {}))
            raise JobFailedError(f"the Job that runs {script} is not done after {seconds:.0f} s: {status}")
        time.sleep(0.5)
