"""The CRDs of this checkout, in the cluster that KUBECONFIG names."""

from examples.demo.install import CRDS, ROOT
from examples.demo.kube import run


def apply_crds() -> None:
    """Apply them as they are here, whoever installed others, and wait until the API server knows them."""
    files = [f"--filename={ROOT / 'crds' / name.partition('.')[0]}.yaml" for name in CRDS]
    run(["kubectl", "apply", "--server-side", "--force-conflicts", *files])
    run(["kubectl", "wait", "crd", *CRDS, "--for=condition=Established", "--timeout=30s"])
