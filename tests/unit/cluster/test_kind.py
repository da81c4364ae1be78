from pathlib import Path

import yaml

from images.build import Built
from tests.cluster import kind, tools, versions

KUBECONFIG = Path("/cache/kind/a/kubeconfig")


def test_the_node_image_has_the_pinned_minor_and_a_digest() -> None:
    image = kind.node_image()

    assert image.startswith("kindest/node:v")
    tag, digest = image.removeprefix("kindest/node:").split("@")
    assert versions.as_numbers(tag)[:2] == versions.as_numbers(versions.kubernetes())[:2]
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 64


def test_the_configuration_is_one_node() -> None:
    document = yaml.safe_load(kind.CONFIG.read_text())

    assert (document["kind"], document["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert [node["role"] for node in document["nodes"]] == ["control-plane"]


def test_up_creates_the_cluster_with_a_kubeconfig_of_its_own_and_adds_metrics_server() -> None:
    create, load, apply = kind.create_commands("kind", "kubectl", "a", KUBECONFIG)

    assert create == [
        "kind", "create", "cluster", "--name", "a", f"--config={kind.CONFIG}",
        "--kubeconfig=/cache/kind/a/kubeconfig", "--wait=120s",
    ]  # fmt: skip
    assert load == [
        "kind", "load", "image-archive", str(tools.folder_of(tools.METRICS) / "images.tar"), "--name", "a",
    ]  # fmt: skip
    assert apply == ["kubectl", "--kubeconfig=/cache/kind/a/kubeconfig", "apply", "--server-side", "--filename=-"]


def test_load_gives_the_archives_to_kind() -> None:
    images = [Built("docker.io/modelvane/operator:dev-1", Path("/cache/operator.tar"))]

    assert kind.load_commands("kind", "a", images) == [
        ["kind", "load", "image-archive", "/cache/operator.tar", "--name", "a"]
    ]


def test_down_deletes_by_name() -> None:
    assert kind.delete_command("kind", "a", KUBECONFIG) == [
        "kind", "delete", "cluster", "--name", "a", "--kubeconfig=/cache/kind/a/kubeconfig",
    ]  # fmt: skip


def test_an_engine_must_have_or_pull_the_node_image() -> None:
    inspect, pull = kind.image_commands("podman")

    assert inspect == ["podman", "image", "inspect", kind.node_image()]
    assert pull == ["podman", "pull", "--quiet", kind.node_image()]
