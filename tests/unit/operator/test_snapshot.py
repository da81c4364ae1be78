"""What the kubelet says about a pod, and what it means."""

from typing import Any

import pytest
from modelvane.cluster.snapshot import count_strays, read_pod, read_workload
from modelvane.engine.state import Failure

REVISION = "serving.modelvane.dev/revision"
CREATED = "2026-01-01T12:00:00Z"


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **metadata: Any) -> dict[str, Any]:
    base = {"name": "p", "labels": {REVISION: "v1-a"}, "creationTimestamp": CREATED}
    status = {"containerStatuses": list(containers), "initContainerStatuses": list(init), "conditions": []}
    return {"metadata": {**base, **metadata}, "status": status}


def ended(code: int, *, message: str = "", reason: str = "Error", restarts: int = 0, name: str = "serve") -> Any:
    state = {"terminated": {"exitCode": code, "message": message, "reason": reason}}
    return {"name": name, "restartCount": restarts, "state": state, "image": "serving:1"}


def waiting(reason: str, *, last: Any = None, restarts: int = 0, message: str = "") -> Any:
    state = {"waiting": {"reason": reason, "message": message}}
    last_state = last["state"] if last else {}
    return {"name": "serve", "restartCount": restarts, "state": state, "lastState": last_state, "image": "serving:1"}


def deployment(**metadata: Any) -> dict[str, Any]:
    labels = {REVISION: "v1-a", "serving.modelvane.dev/model-version": "1"}
    base = {"name": "d", "uid": "u", "resourceVersion": "7", "labels": labels, "creationTimestamp": CREATED}
    template = {"metadata": {"labels": labels}}
    return {"metadata": {**base, **metadata}, "spec": {"replicas": 2, "template": template}, "status": {}}


TOLD = '{"reason": "InputExampleFailed", "message": "the model raised ValueError on its own example"}'
FETCH = '{"reason": "FetchFailed", "message": "http://mlflow:5000 does not answer"}'
PACKAGES = '{"reason": "EnvironmentFailed", "message": "cannot install foo==9"}'
AGAIN = "container serve ended with exit code 1 again and again; see its log"


@pytest.mark.parametrize(
    ("thing", "failure"),
    [
        (
            pod(ended(1, message=TOLD)),
            Failure("InputExampleFailed", "the model raised ValueError on its own example", True),
        ),
        (
            pod(waiting("CrashLoopBackOff", last=ended(1, message=TOLD), restarts=1)),
            Failure("InputExampleFailed", "the model raised ValueError on its own example", True),
        ),
        (
            pod(init=(ended(1, message=FETCH, name="fetch"),)),
            Failure("FetchFailed", "http://mlflow:5000 does not answer", False),
        ),
        (
            pod(init=(ended(1, message=PACKAGES, name="fetch"),)),
            Failure("EnvironmentFailed", "cannot install foo==9", True),
        ),
        (
            pod(ended(137, reason="OOMKilled")),
            Failure(
                "OOMKilled", "container serve needed more memory than its limit: raise resources.limits.memory", True
            ),
        ),
        (pod(ended(1)), Failure("CrashLoopBackOff", AGAIN, False)),
        (pod(ended(1, restarts=2)), Failure("CrashLoopBackOff", AGAIN, True)),
        (pod(waiting("CrashLoopBackOff", last=ended(1), restarts=3)), Failure("CrashLoopBackOff", AGAIN, True)),
        (pod(ended(1, message="Traceback (most recent call last)")), Failure("CrashLoopBackOff", AGAIN, False)),
        (pod(ended(1, message='["not an object"]')), Failure("CrashLoopBackOff", AGAIN, False)),
        (
            pod(waiting("ImagePullBackOff")),
            Failure("ImagePullFailed", "image serving:1 cannot be pulled (ImagePullBackOff)", False),
        ),
        (
            pod(waiting("CreateContainerConfigError", message='secret "x" not found')),
            Failure("InvalidSettings", 'container serve cannot be made: secret "x" not found', False),
        ),
        (pod(ended(0, name="fetch")), None),
        (pod(waiting("PodInitializing")), None),
    ],
)
def test_a_failure_is_named_by_our_own_programs_first(thing: dict[str, Any], failure: Failure | None) -> None:
    assert read_pod(thing).failure == failure


def test_a_ready_pod_has_no_failure_whatever_it_went_through() -> None:
    thing = pod({**waiting("x", last=ended(1, message=TOLD)), "state": {"running": {}}})
    thing["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": CREATED}]
    read = read_pod(thing)
    assert read.failure is None
    assert read.ready_since is not None


def test_a_pod_that_fits_on_no_node_says_so() -> None:
    thing = pod()
    thing["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "Insufficient memory."}]
    assert read_pod(thing).waiting_for == "no node can take a pod: Insufficient memory."


def test_the_digest_is_what_fetch_leaves_behind() -> None:
    assert read_pod(pod(init=(ended(0, message='{"digest": "sha256:ab"}', name="fetch"),))).digest == "sha256:ab"


@pytest.mark.parametrize(
    "thing",
    [
        pod(deletionTimestamp=CREATED),
        pod(labels={REVISION: "v2-b"}),
        pod(creationTimestamp="2026-01-01T11:59:59Z"),
        {**pod(), "status": {"phase": "Failed"}},
    ],
    ids=["being deleted", "of another revision", "of a deleted namesake", "evicted"],
)
def test_pods_that_do_not_count(thing: dict[str, Any]) -> None:
    assert read_workload(deployment(), [thing]).pods == ()


def test_a_deployment_whose_labels_were_taken_away_is_known_by_those_of_its_pods() -> None:
    workload = read_workload(deployment(labels={}), [pod()])
    assert (workload.revision, workload.version, len(workload.pods)) == ("v1-a", "1", 1)


def test_pods_whose_deployment_is_gone_are_strays_until_they_are_deleted() -> None:
    workload = read_workload(deployment(), [pod()])
    assert count_strays([pod(), pod(labels={REVISION: "v0-z"})], [workload]) == 1
    assert count_strays([pod(labels={REVISION: "v0-z"}, deletionTimestamp=CREATED)], [workload]) == 0
    evicted = {**pod(labels={REVISION: "v0-z"}), "status": {"phase": "Failed"}}
    assert count_strays([evicted], [workload]) == 0


def test_the_cluster_not_letting_pods_be_made_is_seen() -> None:
    thing = deployment()
    thing["status"] = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}
    assert read_workload(thing, []).refused == "exceeded quota"
