"""Runs helm for the chart tests and gives back what it rendered, or what it said when it refused."""

import pathlib
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Manifest = dict[str, Any]
CHARTS = pathlib.Path(__file__).parents[2] / "charts"
POD_OWNERS = frozenset({"DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"})


def scenarios(chart: str) -> list[pathlib.Path]:
    """List the values files of a chart that each stand for one way to install it."""
    found = sorted((CHARTS / chart / "ci").glob("*-values.yaml"))
    assert found, f"no ci/*-values.yaml in {chart}"
    return found


def render(chart: str, values: Mapping[str, Any] | pathlib.Path, *, release: str, namespace: str = "ml") -> str:
    """Render a chart with these values, hooks included; a refusal fails the test with helm's own words."""
    done = _template(chart, values, release=release, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(
    chart: str, values: Mapping[str, Any] | pathlib.Path, *, release: str, namespace: str = "ml"
) -> list[Manifest]:
    """Render a chart and parse every object in it."""
    rendered = render(chart, values, release=release, namespace=namespace)
    return [document for document in yaml.safe_load_all(rendered) if document]


def refusal(chart: str, values: Mapping[str, Any], *, release: str) -> str:
    """Return what helm tells a user whose values the chart does not take; fail if it takes them."""
    done = _template(chart, values, release=release, namespace="ml")
    assert done.returncode != 0, f"{chart} took {values}"
    return done.stderr


def lint(chart: str, values: pathlib.Path) -> None:
    """Run `helm lint --strict`; a finding fails the test."""
    done = _helm("lint", "--strict", str(CHARTS / chart), "--values", str(values))
    assert done.returncode == 0, done.stdout + done.stderr


def one(objects: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the only object of this kind, or the one that is also called this."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}"
    return found[0]


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the spec of every pod that the objects are or make, with a name for messages."""
    for item in objects:
        name = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Pod":
            yield name, item["spec"]
        elif item["kind"] == "CronJob":
            yield name, item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif item["kind"] in POD_OWNERS:
            yield name, item["spec"]["template"]["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    """List all containers of a pod, init containers first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def _template(
    chart: str, values: Mapping[str, Any] | pathlib.Path, *, release: str, namespace: str
) -> subprocess.CompletedProcess[str]:
    text = values.read_text() if isinstance(values, pathlib.Path) else yaml.safe_dump(dict(values))
    return _helm("template", release, str(CHARTS / chart), "--namespace", namespace, "--values", "-", stdin=text)


def _helm(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["helm", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)
