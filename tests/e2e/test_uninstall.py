import time

from examples.demo.install import CRDS
from examples.demo.kube import find_cluster_wide
from tests.e2e.scene import CHILDREN, NAME, RELEASE, Scene
from tests.e2e.waiting import eventually

KINDS = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,poddisruptionbudgets,mvd,mvr"
# What Kubernetes puts into every namespace.
NOT_OURS = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}


def test_uninstalling_stops_nothing_and_leaves_nothing_but_the_crds(
    empty_scene: Scene, take_ownership: tuple[str, ...]
) -> None:
    scene = empty_scene
    scene.install_operator(crds={"install": True}, flags=take_ownership)
    version = scene.serve(replicas=2)
    scene.start_traffic()
    scene.namespace.helm("uninstall", RELEASE, "--wait")
    time.sleep(5)
    scene.end_traffic(versions={version})

    # Nothing waits for an operator that is gone: no finalizer, and Kubernetes removes the children.
    scene.namespace.kubectl("delete", "mvd", NAME, "--timeout=20s", seconds=30)
    eventually("the children are gone", lambda: scene.namespace.get_all("all", CHILDREN), lambda left: not left)
    eventually("the namespace is as it was", lambda: _names(scene) - NOT_OURS, lambda left: not left, seconds=30)
    assert all(find_cluster_wide("crd", name) for name in CRDS)


def _names(scene: Scene) -> set[str]:
    return {f"{one['kind']}/{one['metadata']['name']}" for one in scene.namespace.get_all(KINDS)}
