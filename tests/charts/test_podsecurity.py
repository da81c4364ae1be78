"""The checker itself: a pod that is right passes, and each single wrong field is found."""

import copy
from typing import Any

import pytest

from tests.charts.podsecurity import violations

RESTRICTED: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [{"name": "tmp", "emptyDir": {}}],
    "containers": [
        {"name": "app", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
}


def test_restricted_pod_has_no_violation() -> None:
    assert violations(RESTRICTED) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hostNetwork", True, "hostNetwork is set"),
        ("hostPID", True, "hostPID is set"),
        ("volumes", [{"name": "etc", "hostPath": {"path": "/etc"}}], "volume etc is of type hostPath"),
        ("securityContext", {"runAsNonRoot": True}, "container app: no seccomp profile"),
        ("securityContext", {"seccompProfile": {"type": "RuntimeDefault"}}, "container app: runAsNonRoot is not true"),
    ],
)
def test_wrong_pod_field_is_found(field: str, value: object, message: str) -> None:
    assert violations({**RESTRICTED, field: value}) == [message]


def test_unconfined_seccomp_of_the_pod_is_found() -> None:
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}}
    assert violations({**RESTRICTED, "securityContext": context}) == ["pod: seccomp profile is Unconfined"]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"privileged": True}, "container app: privileged is true"),
        ({"allowPrivilegeEscalation": None}, "container app: allowPrivilegeEscalation is not false"),
        ({"capabilities": {}}, "container app: capabilities.drop lacks ALL"),
        ({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "container app: capabilities.add has SYS_ADMIN"),
        ({"runAsUser": 0}, "container app: runAsUser is 0"),
        ({"runAsNonRoot": False}, "container app: runAsNonRoot is not true"),
        ({"procMount": "Unmasked"}, "container app: procMount is Unmasked"),
        ({"appArmorProfile": {"type": "Unconfined"}}, "container app: AppArmor profile is Unconfined"),
        ({"seLinuxOptions": {"role": "sysadm_r"}}, "container app: SELinux options are set"),
    ],
)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_wrong_container_field_is_found(kind: str, context: dict[str, Any], message: str) -> None:
    pod = copy.deepcopy(RESTRICTED)
    pod.setdefault(kind, copy.deepcopy(RESTRICTED["containers"]))[0]["securityContext"].update(context)
    assert violations(pod) == [message]


def test_host_port_is_found() -> None:
    pod = copy.deepcopy(RESTRICTED)
    pod["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
    assert violations(pod) == ["container app: hostPort is set"]
