from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass

import pytest

from tests.e2e.scene import CHILDREN, OPERATOR_PODS, Scene
from tests.e2e.waiting import eventually

REST_SECONDS = 20
POLL_SECONDS = 5
MEGABYTES_AT_MOST = 150


def test_an_operator_at_rest_writes_nothing_and_asks_once_a_tick(
    empty_scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = empty_scene
    scene.install_operator(registry={"pollInterval": f"{POLL_SECONDS}s"})
    scene.serve()
    eventually("it has come to rest", lambda: _is_still(scene))

    versions, began, before = _resource_versions(scene), time.monotonic(), _use(scene)
    time.sleep(REST_SECONDS)
    after, took = _use(scene), time.monotonic() - began
    assert _resource_versions(scene) == versions

    polls = after.polls - before.polls
    assert abs(polls - took / POLL_SECONDS) <= 1, f"{polls} polls in {took:.1f} s"
    millicores = (after.cpu_seconds - before.cpu_seconds) / took * 1000
    with capsys.disabled():
        print(f"\n  at rest: {after.megabytes:.0f} MB, {millicores:.1f} millicores, {polls} polls in {took:.0f} s")
    assert after.megabytes <= MEGABYTES_AT_MOST


@dataclass(frozen=True)
class Use:
    """What the operator's process has used and how often it has asked the registry."""

    polls: int
    megabytes: float
    cpu_seconds: float


def _use(scene: Scene) -> Use:
    (pod,) = scene.namespace.get_all("pods", OPERATOR_PODS)
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{scene.namespace.name}/pods/{name}:8080/proxy/metrics"
    metrics = scene.namespace.kubectl("get", "--raw", path)
    polls = re.findall(r"^modelvane_registry_polls_total\{.*\} (\S+)", metrics, re.MULTILINE)
    status = scene.namespace.kubectl("exec", name, "--", "cat", "/proc/1/status")
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    # The fields after the command's name, which may hold spaces; user and system time are the 14th and 15th of all.
    fields = scene.namespace.kubectl("exec", name, "--", "cat", "/proc/1/stat").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return Use(int(sum(map(float, polls))), int(kilobytes) / 1000, ticks / os.sysconf("SC_CLK_TCK"))


def _is_still(scene: Scene) -> bool:
    before = _resource_versions(scene)
    time.sleep(POLL_SECONDS + 1)
    return _resource_versions(scene) == before


def _resource_versions(scene: Scene) -> dict[str, str]:
    made = scene.namespace.get_all("deployments,services,poddisruptionbudgets,pods", CHILDREN)
    own = scene.namespace.get_all("mvd,mvr,events")
    # The Lease of the election is renewed for as long as somebody leads; it is the one thing that is not at rest.
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for one in [*made, *own]
        if not (one["kind"] == "Event" and one["involvedObject"]["kind"] not in {"ModelDeployment", "ModelRegistry"})
    }
