"""Says what in a pod breaks Kubernetes' PodSecurity level `restricted`, without an API server.

Written from the Pod Security Standards; fields of Windows pods are left out, because the charts run on Linux only.
"""

from collections.abc import Iterator
from typing import Any

from tests.charts.helm import Manifest, containers

VOLUME_TYPES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
SECCOMP_TYPES = frozenset({"RuntimeDefault", "Localhost"})
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


def violations(pod: Manifest) -> list[str]:
    """List what an API server that enforces `restricted` would refuse in this pod spec."""
    return [*_pod_violations(pod), *(found for item in containers(pod) for found in _container_violations(pod, item))]


def _pod_violations(pod: Manifest) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is set"
    for volume in pod.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUME_TYPES:
            yield f"volume {volume['name']} is of type {kind}"
    context = pod.get("securityContext", {})
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']} is set"
    yield from _shared_violations("pod", context)


def _container_violations(pod: Manifest, container: Manifest) -> Iterator[str]:
    name = f"container {container['name']}"
    context = container.get("securityContext", {})
    for_all = pod.get("securityContext", {})
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: hostPort is set"
    if context.get("privileged"):
        yield f"{name}: privileged is true"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: procMount is {context['procMount']}"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: capabilities.drop lacks ALL"
    if added := set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities.add has {', '.join(sorted(added))}"
    if context.get("runAsNonRoot", for_all.get("runAsNonRoot")) is not True:
        yield f"{name}: runAsNonRoot is not true"
    if _seccomp(context) is None and _seccomp(for_all) is None:
        yield f"{name}: no seccomp profile"
    yield from _shared_violations(name, context)


def _shared_violations(name: str, context: dict[str, Any]) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield f"{name}: runAsUser is 0"
    if _seccomp(context) not in {None, *SECCOMP_TYPES}:
        yield f"{name}: seccomp profile is {_seccomp(context)}"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield f"{name}: AppArmor profile is Unconfined"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{name}: SELinux options are set"


def _seccomp(context: dict[str, Any]) -> str | None:
    profile: str | None = context.get("seccompProfile", {}).get("type")
    return profile
