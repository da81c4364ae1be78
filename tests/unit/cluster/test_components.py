import json
from pathlib import Path
from string import Template

import pytest
import yaml

from tests.cluster import certs, components, places

CONFIGS = sorted((places.HERE / "config").iterdir())
MANIFESTS = [places.HERE / "addons.yaml", places.HERE / "metrics-server.yaml"]
IMAGES = {"PAUSE_IMAGE": "p:1", "COREDNS_IMAGE": "c:1", "METRICS_SERVER_IMAGE": "m:1"}


@pytest.mark.parametrize("path", [*CONFIGS, *MANIFESTS], ids=lambda path: path.name)
def test_no_placeholder_is_left_in_a_rendered_file(path: Path) -> None:
    text = components.render(path.read_text(), cgroup="modelvane-x", images=IMAGES)

    assert Template(text).get_identifiers() == []
    if path.suffix in {".yaml", ".conflist"}:
        assert list(yaml.safe_load_all(text))


def test_an_unknown_placeholder_is_an_error() -> None:
    with pytest.raises(KeyError, match="NO_SUCH"):
        components.render("a: ${NO_SUCH}", cgroup="x", images={})


def test_kubelet_keeps_its_pods_in_the_cgroup_of_its_cluster() -> None:
    text = components.render((places.HERE / "config/kubelet.yaml").read_text(), cgroup="modelvane-a", images={})

    assert yaml.safe_load(text)["cgroupRoot"] == "/modelvane-a"


def test_the_clients_of_the_api_server_wait_for_it_and_it_waits_for_etcd() -> None:
    stages = components.build_plan()["stages"]

    names = [[component["name"] for component in stage["components"]] for stage in stages]
    assert names == [
        ["etcd", "containerd"],
        ["kube-apiserver"],
        ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"],
    ]
    assert [stage["ready"] for stage in stages] == [
        "http://127.0.0.1:2379/readyz",
        "https://127.0.0.1:6443/readyz",
        "",
    ]


def test_every_certificate_and_key_that_is_used_is_made() -> None:
    made = {request.file for request in certs.requests("n", "10.0.0.1", "10.0.0.2")} | set(certs.AUTHORITIES)
    files = {f"{name}.{suffix}" for name in made for suffix in ("crt", "key")} | {"accounts.key", "accounts.pub"}

    text = json.dumps(components.build_plan()) + "".join(path.read_text() for path in CONFIGS)
    used = {word.split('"')[0].split()[0] for word in text.split(f"{components.PKI}/")[1:]}
    assert used
    assert used <= files


def test_a_kubeconfig_names_one_cluster_only() -> None:
    document = json.loads(components.build_kubeconfig("https://127.0.0.1:1", "ca", "crt", "key", "modelvane-a"))

    assert document["current-context"] == "modelvane-a"
    assert [context["name"] for context in document["contexts"]] == ["modelvane-a"]
