"""What a pod's own words and the kubelet's are turned into."""

from typing import Any

import pytest
from modelvane_cli.seen import read_events, read_pod


def pod(container: dict[str, Any] | None = None, *conditions: dict[str, str], **status: Any) -> dict[str, Any]:
    metadata = {"name": "iris-v4-x", "creationTimestamp": "2026-01-01T11:59:00Z"}
    containers = [{"name": "serve", "ready": False, "restartCount": 0, **container}] if container else []
    return {"metadata": metadata, "status": {"conditions": conditions, "containerStatuses": containers, **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(**how: Any) -> dict[str, Any]:
    return {"lastState": {"terminated": {"exitCode": 1, **how}}, "restartCount": 3, **waiting("CrashLoopBackOff")}


@pytest.mark.parametrize(
    ("manifest", "trouble"),
    [
        (pod(ended(message='{"reason": "ModelLoadFailed", "message": "no xgboost"}')), "ModelLoadFailed: no xgboost"),
        (pod(ended(message="Killed")), "container serve ended with exit code 1, 3 restarts"),
        (pod(ended(message="[1]")), "container serve ended with exit code 1, 3 restarts"),
        (pod(ended(reason="OOMKilled", exitCode=137)), "OOMKilled: container serve needed more memory than its limit"),
        (pod({**waiting("ErrImagePull"), "image": "no/such"}), "ErrImagePull: image no/such cannot be pulled"),
        (
            pod(waiting("CreateContainerConfigError", 'secret "s3" not found')),
            'CreateContainerConfigError: secret "s3" not found',
        ),
        (
            pod(None, {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: insufficient cpu"}),
            "no node can take it: 0/3 nodes: insufficient cpu",
        ),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted: low on memory"),
        (pod(waiting("ContainerCreating")), None),
        (pod(), None),
    ],
)
def test_what_keeps_a_pod_from_serving_is_said_in_one_sentence(manifest: dict[str, Any], trouble: str | None) -> None:
    assert read_pod(manifest).trouble == trouble


def test_a_pod_that_recovered_has_no_trouble() -> None:
    recovered = {**ended(message="Killed"), "ready": True, "state": {"running": {}}}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T12:00:00Z"}
    found = read_pod(pod(recovered, ready))
    assert (found.ready, found.trouble, found.since) == (True, None, "2026-01-01T12:00:00Z")


@pytest.mark.parametrize(
    ("containers", "waits_for"),
    [
        ([], "its containers to be made"),
        (
            [("fetch", {"running": {}}), ("serve", {"waiting": {"reason": "PodInitializing"}})],
            "the model to be fetched",
        ),
        (
            [("fetch", {"terminated": {"exitCode": 0}}), ("serve", {"running": {}})],
            "the model to be loaded and verified",
        ),
        ([("sidecar", {"waiting": {"reason": "ContainerCreating"}})], "container sidecar (ContainerCreating)"),
    ],
)
def test_a_starting_pod_says_what_it_waits_for(containers: list[tuple[str, Any]], waits_for: str) -> None:
    statuses = [{"name": name, "ready": False, "state": state} for name, state in containers]
    assert read_pod(pod(containerStatuses=statuses)).waiting_for == waits_for


def test_only_the_last_events_are_shown_in_the_order_of_time() -> None:
    def at(minute: int, **times: str | None) -> dict[str, Any]:
        return {"metadata": {}, "reason": f"r{minute}", "lastTimestamp": f"2026-01-01T12:0{minute}:00Z", **times}

    third = {"lastTimestamp": None, "eventTime": "2026-01-01T12:03:00.000000Z"}
    shown = read_events([at(2), at(3, **third), at(1)], 2)
    assert [event.reason for event in shown] == ["r2", "r3"]
