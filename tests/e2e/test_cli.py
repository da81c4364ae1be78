"""The command line against a real operator, registry and cluster, as its user types it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelvane_cli.exits import Exit

from tests.e2e.models import Trait
from tests.e2e.scene import NAME, RELEASE, Scene, candidate, serves
from tests.e2e.waiting import eventually

DOC = Path(__file__).parents[2] / "docs" / "cli.md"
CANARY = {"type": "Canary", "steps": [{"weight": 50, "pause": {}}], "scaleDownDelay": "90s"}
PROGRAM = Path(sys.executable).with_name("modelvane")


class Cli:
    """The program in a scene's namespace. It finds the registry by the ModelRegistry, as a person's laptop would."""

    def __init__(self, scene: Scene, *options: str) -> None:
        self.options = (*options, f"--namespace={scene.namespace.name}")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}

    def run(self, *arguments: str, code: Exit = Exit.OK) -> str:
        """Run a command that ends with this code, and return what it printed."""
        done = subprocess.run(
            [PROGRAM, *arguments, *self.options], env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def watch(self) -> Iterator[subprocess.Popen[str]]:
        """Follow the scene's ModelDeployment line by line, until it is ended or the test is over."""
        command = [str(PROGRAM), "status", NAME, "--watch", *self.options]
        with subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True) as watching:
            try:
                yield watching
            finally:
                watching.kill()

    def read(self, *arguments: str, code: Exit = Exit.OK) -> Any:
        """Run a command for its JSON."""
        return json.loads(self.run(*arguments, "-o", "json", code=code))


def test_a_canary_is_promoted_watched_resumed_and_rolled_back_by_hand(scene: Scene) -> None:
    first = scene.serve(strategy=CANARY)
    cli = Cli(scene)
    assert [(one["name"], one["stable"], one["ready"]) for one in cli.read("list")["items"]] == [(NAME, first, True)]
    assert cli.run("doctor").startswith("✓ nothing is wrong")

    second = scene.add_version(Trait.BETTER)
    with cli.watch() as watching:
        done = cli.read("promote", scene.model, "--version", second)
        assert (done["previous"], done["version"], done["changed"]) == (first, second, True)
        scene.until("the step waits", lambda seen: candidate(seen).get("paused") == "Step")

        shown = cli.run("status", NAME)
        assert "Paused" in shown.splitlines()[0]
        assert "It waits for you: go on with  modelvane resume" in shown
        assert f"candidate  version {second} · 50 % of the traffic" in shown
        assert shown.count("✓ served-v") == 2
        assert not cli.read("promote", scene.model, "--version", second)["changed"]

        assert cli.read("pause", NAME)["answered"]
        assert "resume: the rollout of version" in cli.run("resume", NAME)
        scene.until("paused by its step alone", lambda seen: candidate(seen).get("paused") == "Step")
        assert "goes on" in cli.run("resume", NAME)
        scene.until_serves(second)
        newest = cli.read("history", NAME)["history"][0]
        assert (newest["version"], newest["outcome"]) == (second, "Promoted")
        watching.send_signal(signal.SIGINT)
        lines, _ = watching.communicate(timeout=20)
        assert watching.returncode == 0
        assert re.search(rf"Paused · stable {first} 50 % 1/1 · candidate {second} 50 % 1/1", lines), lines

    back = cli.read("rollback", NAME)
    assert (back["previous"], back["version"]) == (second, first)
    assert back["next"] == f"Version {first} is still warm, so it takes over at once."
    scene.until_serves(first, seconds=20)
    assert cli.read("rollback", NAME, "--to-version", first)["changed"] is False
    assert "retry: the wanted version is not rejected" in cli.run("retry", NAME)


def test_a_doctor_finds_a_bad_version_and_a_missing_operator(scene: Scene) -> None:
    good = scene.serve()
    cli = Cli(scene)
    broken = scene.add_version(Trait.CANNOT_LOAD)
    scene.promote(broken)
    scene.until_rejected(broken)
    (finding,) = cli.read("doctor", NAME, "--skip-registry", code=Exit.FAILED)["findings"]
    assert (finding["code"], finding["about"]) == ("ModelLoadFailed", f"modeldeployment/{NAME}")
    assert f"version {good} serves on" in finding["what"]

    assert cli.run("rollback", NAME).splitlines()[1] == f"Version {good} serves already."
    eventually("nothing is wrong", lambda: cli.read("doctor")["healthy"], seconds=30)

    spec = {"uri": scene.tracking.address, "credentialsSecretRef": {"name": "login"}}
    kind = {"apiVersion": "serving.modelvane.dev/v1alpha1", "kind": "ModelRegistry"}
    scene.namespace.apply({**kind, "metadata": {"name": "other"}, "spec": spec})
    scene.namespace.kubectl("scale", f"deployment/{RELEASE}", "--replicas=0")
    codes = {one["code"] for one in cli.read("doctor", "--skip-registry", code=Exit.FAILED)["findings"]}
    assert {"OperatorDown", "SecretMissing"} <= codes
    assert "has not answered within 1 s" in cli.run("restart", NAME, "--timeout", "1", code=Exit.NO_ANSWER)
    assert serves(scene.deployment(), good)


@pytest.fixture
def person(scene: Scene, tmp_path: Path) -> Cli:
    """Give the program of a person with the role `view` and what docs/cli.md adds to it."""
    namespace = scene.namespace
    namespace.kubectl("create", "serviceaccount", "person")
    block = re.findall(r"```yaml\n(apiVersion: rbac.*?)```", DOC.read_text(), re.DOTALL)[0]
    namespace.apply(yaml.safe_load(block))
    account = f"--serviceaccount={namespace.name}:person"
    namespace.kubectl("create", "rolebinding", "view", "--clusterrole=view", account)
    namespace.kubectl("create", "rolebinding", "user", "--role=modelvane-user", account)
    config = yaml.safe_load(namespace.kubectl("config", "view", "--raw", "--minify"))
    config["users"][0]["user"] = {"token": namespace.kubectl("create", "token", "person").strip()}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return Cli(scene, f"--kubeconfig={kubeconfig}")


def test_a_person_with_the_documented_rights_can_look_and_ask(scene: Scene, person: Cli) -> None:
    version = scene.serve()
    status = person.read("status", NAME)
    assert (status["stable"]["version"], len(status["pods"])) == (version, 1)
    assert status["events"]
    assert "pause: no rollout is in progress" in person.run("pause", NAME)
    assert person.read("doctor", "--skip-registry")["healthy"]

    scene.namespace.kubectl("delete", "rolebinding", "user")
    assert "You may not do this" in person.run("pause", NAME, code=Exit.NOT_ALLOWED)
    assert "You may not do this" in person.run("list", code=Exit.NOT_ALLOWED)
