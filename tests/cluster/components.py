"""The local node as data: which processes run, with which arguments, in which order.

Pure. ``local`` writes the plan to a file, ``supervisor`` carries it out inside the node's namespaces. Paths are
those that the node sees: ``/run/modelvane`` is the cluster's state folder, and ``/run``, ``/tmp``, ``/var/lib`` and
``/var/log`` are the node's own, so every program can use its default paths and two nodes never meet.
"""

from __future__ import annotations

import json
from string import Template
from typing import Any, TypedDict

RUN = "/run/modelvane"
PKI = f"{RUN}/pki"
CONFIG = f"{RUN}/config"
NODE = "modelvane"
NODE_IP = "10.89.0.1"
NODE_LINK = "node0"
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
API_PORT = 6443
ETCD_PORT = 2379

# What kubelet wants of the machine. It would set them for every process on it; the node sees these files in place
# of the real ones instead.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Component(TypedDict):
    """A process of the node."""

    name: str
    command: list[str]


class Stage(TypedDict):
    """Components that start together, and the URL that must answer 200 before the next stage."""

    components: list[Component]
    ready: str


class Plan(TypedDict):
    """All that the supervisor does: set up the namespaces, then start the stages."""

    setup: list[list[str]]
    stages: list[Stage]


def build_plan() -> Plan:
    """Return the commands that prepare the node's namespaces and the processes that make the node."""
    first = [_etcd(), _component("containerd", "containerd", config=f"{CONFIG}/containerd.toml")]
    api_clients = [_controller_manager(), _scheduler(), _kubelet(), _kube_proxy()]
    return {
        "setup": [*_links(), *_kernel_settings()],
        "stages": [
            {"components": first, "ready": f"http://127.0.0.1:{ETCD_PORT}/readyz"},
            # Its port opens seconds before the roles of its clients exist; who asks too early backs off or ends.
            {"components": [_apiserver()], "ready": f"https://127.0.0.1:{API_PORT}/readyz"},
            {"components": api_clients, "ready": ""},
        ],
    }


def render(text: str, *, cgroup: str, images: dict[str, str]) -> str:
    """Fill the placeholders of a configuration file; an unknown one is an error."""
    values = {"NODE": NODE, "POD_CIDR": POD_CIDR, "DNS_IP": DNS_IP, "CGROUP_ROOT": f"/{cgroup}", **images}
    return Template(text).substitute(values)


def build_kubeconfig(server: str, authority: str, certificate: str, key: str, name: str) -> str:
    """Return a kubeconfig (JSON, which is YAML) with one cluster, user and context, all of one name."""
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": name, "user": {"client-certificate": certificate, "client-key": key}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return json.dumps(document, indent=2)


def _links() -> list[list[str]]:
    """Give the node an address on a bridge without ports, and a route to the Service addresses only.

    Without a default route whatever leaves the cluster fails at once, instead of after a timeout.
    """
    return [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", NODE_LINK, "type", "bridge"],
        ["ip", "address", "add", f"{NODE_IP}/24", "dev", NODE_LINK],
        ["ip", "link", "set", NODE_LINK, "up"],
        ["ip", "route", "add", SERVICE_CIDR, "dev", NODE_LINK],
        ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
    ]


def _kernel_settings() -> list[list[str]]:
    return [["mount", "--bind", f"{CONFIG}/sysctl/{name}", f"/proc/sys/{name}"] for name in KERNEL_SETTINGS]


def _component(name: str, binary: str, *words: str, **flags: str) -> Component:
    arguments = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
    return {"name": name, "command": [f"{RUN}/bin/{binary}", *words, *arguments]}


def _kube(name: str, **flags: str) -> Component:
    return _component(name, "knode", name, **flags)


def _etcd() -> Component:
    component = _kube(
        "etcd",
        data_dir="/var/lib/etcd",
        listen_client_urls=f"http://127.0.0.1:{ETCD_PORT}",
        advertise_client_urls=f"http://127.0.0.1:{ETCD_PORT}",
        listen_peer_urls="http://127.0.0.1:2380",
        log_level="warn",
    )
    # A test cluster need not survive a power loss, and fsync is most of etcd's time on a laptop's disk.
    component["command"].append("--unsafe-no-fsync")
    return component


def _apiserver() -> Component:
    return _kube(
        "kube-apiserver",
        etcd_servers=f"http://127.0.0.1:{ETCD_PORT}",
        advertise_address=NODE_IP,
        secure_port=str(API_PORT),
        allow_privileged="true",
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        service_cluster_ip_range=SERVICE_CIDR,
        tls_cert_file=f"{PKI}/apiserver.crt",
        tls_private_key_file=f"{PKI}/apiserver.key",
        client_ca_file=f"{PKI}/ca.crt",
        kubelet_certificate_authority=f"{PKI}/ca.crt",
        kubelet_client_certificate=f"{PKI}/apiserver-kubelet-client.crt",
        kubelet_client_key=f"{PKI}/apiserver-kubelet-client.key",
        kubelet_preferred_address_types="InternalIP",
        service_account_issuer="https://kubernetes.default.svc.cluster.local",
        service_account_key_file=f"{PKI}/accounts.pub",
        service_account_signing_key_file=f"{PKI}/accounts.key",
        # The aggregation layer, for metrics-server: its own authority tells proxied users from real ones.
        requestheader_client_ca_file=f"{PKI}/front-proxy-ca.crt",
        requestheader_allowed_names="front-proxy-client",
        requestheader_username_headers="X-Remote-User",
        requestheader_group_headers="X-Remote-Group",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        proxy_client_cert_file=f"{PKI}/front-proxy-client.crt",
        proxy_client_key_file=f"{PKI}/front-proxy-client.key",
    )


def _controller_manager() -> Component:
    kubeconfig = f"{CONFIG}/controller-manager.kubeconfig"
    return _kube(
        "kube-controller-manager",
        kubeconfig=kubeconfig,
        authentication_kubeconfig=kubeconfig,
        authorization_kubeconfig=kubeconfig,
        leader_elect="false",
        use_service_account_credentials="true",
        # By default it limits itself to 20 requests a second, which makes its start take four seconds longer.
        kube_api_qps="200",
        kube_api_burst="400",
        root_ca_file=f"{PKI}/ca.crt",
        service_account_private_key_file=f"{PKI}/accounts.key",
        flex_volume_plugin_dir="/var/lib/kubelet/volumeplugins",
        # Serves the StorageClass `standard`: a claim becomes a folder under /tmp/hostpath_pv.
        enable_hostpath_provisioner="true",
    )


def _scheduler() -> Component:
    kubeconfig = f"{CONFIG}/scheduler.kubeconfig"
    return _kube(
        "kube-scheduler",
        kubeconfig=kubeconfig,
        authentication_kubeconfig=kubeconfig,
        authorization_kubeconfig=kubeconfig,
        leader_elect="false",
    )


def _kubelet() -> Component:
    return _kube(
        "kubelet",
        config=f"{CONFIG}/kubelet.yaml",
        kubeconfig=f"{CONFIG}/kubelet.kubeconfig",
        hostname_override=NODE,
        node_ip=NODE_IP,
    )


def _kube_proxy() -> Component:
    return _kube("kube-proxy", config=f"{CONFIG}/kube-proxy.yaml")
