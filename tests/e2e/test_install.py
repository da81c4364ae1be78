from examples.demo import jobs
from examples.demo.install import CRDS, ROOT, install
from examples.demo.kube import Namespace, find_cluster_wide, run
from examples.demo.story import ask
from tests.e2e.scene import serves, status_line
from tests.e2e.tracking import EMBEDDED_STORES, Images, Tracking
from tests.e2e.waiting import eventually


def test_install_from_nothing_as_the_readme_says(own_namespace: Namespace, images: Images) -> None:
    # This operator serves all namespaces. It must not touch what others have in the cluster.
    eventually("there is no ModelDeployment of anybody else in the cluster", _is_unused, seconds=120)
    # CRDs that an earlier test or demo left in the cluster are taken over rather than stumbled upon.
    flags = ("--take-ownership",)
    install(own_namespace, "mlflow", "mlflow", images.mlflow, EMBEDDED_STORES)
    install(own_namespace, "modelvane", "modelvane", images.modelvane, {"registry": {"create": True}}, flags=flags)
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


def _is_unused() -> bool:
    if find_cluster_wide("crd", CRDS[0]) is None:
        return True
    return not run(["kubectl", "get", "modeldeployments", "--all-namespaces", "--output=name"]).strip()
