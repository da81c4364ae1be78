from pathlib import Path

import pytest
import yaml

from images.build import Built
from tests.cluster import gateway, toolchain, versions

IMAGES = [
    Built("docker.io/modelvane/operator:dev-1", Path("operator.tar")),
    Built("docker.io/modelvane-test/traefik:dev-2", Path("traefik.tar")),
]
TRAEFIK = {"TRAEFIK_IMAGE": gateway.ref_of("traefik", IMAGES)}


def test_the_controller_runs_the_image_that_was_built() -> None:
    documents = list(yaml.safe_load_all(gateway.render("gateway.yaml", TRAEFIK)))

    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "docker.io/modelvane-test/traefik:dev-2"


def test_the_listener_has_the_port_of_the_entry_point_and_takes_routes_of_every_namespace() -> None:
    documents = {document["kind"]: document for document in yaml.safe_load_all(gateway.render("gateway.yaml", TRAEFIK))}

    (listener,) = documents["Gateway"]["spec"]["listeners"]
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert f"--entrypoints.web.address=:{listener['port']}" in container["args"]
    assert listener["allowedRoutes"] == {"namespaces": {"from": "All"}}


@pytest.mark.parametrize("crds", [gateway.GATEWAY_API, gateway.ENVOY], ids=lambda crds: crds.module)
def test_the_go_that_would_be_installed_can_download_the_crds(crds: gateway.Crds) -> None:
    assert toolchain.new_enough(toolchain.GO_PACKAGE, versions.go_version(crds.go_mod.read_text()))


def test_the_controller_and_its_proxies_run_images_of_their_own() -> None:
    text = gateway.render("envoy.yaml", {"ENVOY_IMAGE": "envoy:1", "ENVOY_GATEWAY_IMAGE": "controller:1"})
    documents = {document["kind"]: document for document in yaml.safe_load_all(text)}

    assert (
        documents["EnvoyProxy"]["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]["image"] == "envoy:1"
    )
    for kind in ("Job", "Deployment"):
        assert documents[kind]["spec"]["template"]["spec"]["containers"][0]["image"] == "controller:1"
