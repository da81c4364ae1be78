"""The shared MLflow and the CRDs once a session; a namespace, an operator and a model for each test."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo.install import CRDS, image_values
from examples.demo.kube import Namespace, find_cluster_wide, run
from tests.cluster.crds import apply_crds
from tests.e2e.dump import dump
from tests.e2e.scene import Scene
from tests.e2e.tracking import Images, Tracking

SESSION = secrets.token_hex(3)
SCENES = pytest.StashKey[list[Namespace]]()


@pytest.fixture(scope="session")
def images() -> Images:
    return Images(mlflow=image_values("mlflow"), modelvane=image_values("modelvane"))


@pytest.fixture(scope="session")
def crds() -> Iterator[None]:
    """Install the CRDs, and remove them if they were not there before."""
    missing = [name for name in CRDS if find_cluster_wide("crd", name) is None]
    apply_crds()
    yield
    for name in missing:
        run(["kubectl", "delete", "crd", name, "--ignore-not-found"], seconds=120)


@pytest.fixture
def take_ownership() -> Iterator[tuple[str, ...]]:
    """Give helm's flag for taking over CRDs that are there, and return them to whose release they were."""
    before = [crd for name in CRDS if (crd := find_cluster_wide("crd", name))]
    yield ("--take-ownership",)
    for crd in before:
        kept = {key: crd["metadata"][key] for key in ("name", "labels", "annotations") if key in crd["metadata"]}
        manifest = {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": kept, "spec": crd["spec"]}
        # As helm, so that its next upgrade finds nobody else's hand on the fields.
        flags = ["--server-side", "--force-conflicts", "--field-manager=helm"]
        run(["kubectl", "apply", *flags, "--filename=-"], stdin=yaml.safe_dump(manifest))


@pytest.fixture(scope="session")
def tracking(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """Install MLflow with its embedded stores and log the models that tests register."""
    # MLflow's client repeats a request that got a 500 for four minutes.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "2"
    namespace = Namespace(f"mv-e2e-mlflow-{SESSION}")
    namespace.create()
    shared = Tracking(namespace, images)
    try:
        shared.install()
        shared.log_models(tmp_path_factory.mktemp("models"))
        yield shared
    finally:
        shared.close()
        namespace.delete(wait=False)


@pytest.fixture
def own_namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """Make a namespace that refuses what is not `restricted`; it goes after the test."""
    short = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:30].strip("-")
    namespace = Namespace(f"mv-e2e-{short}-{secrets.token_hex(2)}")
    request.node.stash[SCENES] = [namespace]
    namespace.create()
    try:
        yield namespace
    finally:
        namespace.delete(wait=False)


@pytest.fixture
def empty_scene(
    request: pytest.FixtureRequest, own_namespace: Namespace, tracking: Tracking, images: Images, crds: None
) -> Iterator[Scene]:
    """Give a scene that has no operator yet."""
    request.node.stash[SCENES].append(tracking.namespace)
    scene = Scene(own_namespace, tracking, images)
    yield scene
    scene.close()


@pytest.fixture
def scene(empty_scene: Scene) -> Scene:
    """Give a scene with an operator that watches it."""
    empty_scene.install_operator()
    return empty_scene


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Write down what a person needs to see when a test has failed, while it is still there."""
    report = yield
    if report.failed and call.when in {"setup", "call"}:
        stamp = time.strftime("%H%M%S")
        for namespace in item.stash.get(SCENES, []):
            folder = Path(tempfile.gettempdir(), "modelvane-e2e", f"{namespace.name}-{stamp}")
            report.sections.append((f"namespace {namespace.name}", dump(namespace, folder)))
    return report
