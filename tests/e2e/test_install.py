from examples.demo import jobs
from examples.demo.install import CRDS, ROOT, install
from examples.demo.kube import Namespace, find_cluster_wide, run
from examples.demo.story import ask
from tests.e2e.scene import serves, status_line
from tests.e2e.tracking import EMBEDDED_STORES, Images, Tracking
from tests.e2e.waiting import eventually


def test_install_from_nothing_as_the_readme_says(
    own_namespace: Namespace, images: Images, take_ownership: tuple[str, ...]
) -> None:
    # The operator serves all namespaces, as is its default, unless that would touch what others have in the cluster.
    eventually("the ModelDeployments of other tests are gone", lambda: not _deployments_of_tests(), seconds=120)
    watch = {"watch": {"namespaces": [own_namespace.name] if _namespaces_with_deployments() else []}}
    registry = {"registry": {"create": True}}
    install(own_namespace, "mlflow", "mlflow", images.mlflow, EMBEDDED_STORES)
    install(own_namespace, "modelvane", "modelvane", images.modelvane, registry, watch, flags=take_ownership)
    for release in ("mlflow", "modelvane"):
        own_namespace.helm("test", release, "--timeout=90s")

    jobs.train(own_namespace, images.python, "train.py")
    tracking = Tracking(own_namespace, images)
    try:
        tracking.registry().move_to("Production", "iris", "1")
    finally:
        tracking.close()
    own_namespace.kubectl("apply", f"--filename={ROOT / 'examples' / 'iris.yaml'}")
    deployment = eventually(
        "iris version 1 serves",
        lambda: own_namespace.get("mvd", "iris"),
        lambda seen: serves(seen, "1"),
        seconds=90,
        show=status_line,
    )
    with own_namespace.port_forward("service/iris", 80) as url:
        assert ask(url) == ("setosa", "1")

    assert deployment["status"]["desired"]["pointer"].endswith("Production")
    printed = own_namespace.kubectl("get", "mvd", "iris", "--no-headers").split()
    assert printed[:3] == ["iris", "1", "1"]
    restarts = {
        f"{pod['metadata']['name']}/{container['name']}": container["restartCount"]
        for pod in own_namespace.get_all("pods")
        for container in pod["status"]["containerStatuses"]
    }
    assert not any(restarts.values()), restarts


def _namespaces_with_deployments() -> set[str]:
    if find_cluster_wide("crd", CRDS[0]) is None:
        return set()
    column = "--output=custom-columns=N:.metadata.namespace"
    return set(run(["kubectl", "get", "modeldeployments", "--all-namespaces", "--no-headers", column]).split())


def _deployments_of_tests() -> set[str]:
    return {namespace for namespace in _namespaces_with_deployments() if namespace.startswith("mv-e2e-")}
