"""The other runtimes in a rollout: MLflow's own server, a custom image, and pods that speak HTTPS."""

from __future__ import annotations

import json
import os
import ssl
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import infer_signature

from tests.e2e.certificates import make_tls_secret
from tests.e2e.models import QUESTION, Logged, Trait, register
from tests.e2e.scene import NAME, Scene, candidate

SERVER = Path(__file__).parents[2] / "examples" / "custom_runtime" / "server.py"
ANALYSIS = {"interval": "2s", "minRequests": 20, "failureLimit": 2, "maxErrorRate": "1%"}
CANARY = {"type": "Canary", "steps": [{"weight": 50, "pause": {"duration": "4s"}}], "scaleDownDelay": "2s"}

_LINEAR = """
import mlflow

class Linear(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        raise NotImplementedError("its own server reads the weights")

mlflow.models.set_model(Linear())
"""


def fetch(url: str, body: object = None, context: ssl.SSLContext | None = None) -> tuple[bytes, str]:
    """Ask a page; return it and the version that answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return answer.read(), answer.headers.get("Modelvane-Model-Version", "")


def reasons(scene: Scene) -> set[str]:
    return {event["reason"] for event in scene.namespace.get_all("events") if event["involvedObject"]["name"] == NAME}


# --- MLflow


def test_mlflows_own_server_rolls_without_losing_a_request(scene: Scene) -> None:
    # On a small node two pods of MLflow's own server answer a good hundred requests a second, with nothing to spare.
    first = scene.serve(replicas=2, runtime={"type": "MLflow", "workers": 1}, strategy=CANARY, analysis=ANALYSIS)
    with scene.namespace.port_forward(f"service/{NAME}", 80) as url:
        page, version = fetch(f"{url}/invocations", QUESTION)
        assert (json.loads(page), version) == ({"predictions": ["good"]}, first)
        assert json.loads(fetch(f"{url}/model-info")[0])["engine"] == "mlflow"
        page, _ = fetch(f"{url}/metrics")
        assert b'code="200"' in page
        assert b"modelvane_request_duration_seconds_bucket" in page
    scene.start_traffic(rate=40)
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until_seen("it is measured", lambda seen: candidate(seen).get("analysis", {}).get("verdict") == "Passed")
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.until_revisions(1)

    # MLflow answers 400 where the model raises: the analysis sees what it is.
    bad = scene.add_version(Trait.FAILS_UNDER_TRAFFIC)
    scene.promote(bad)
    rejection = scene.until_rejected(bad, seconds=90)
    assert rejection["reason"] == "AnalysisFailed"
    assert "is above maxErrorRate 1%" in rejection["message"]
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second}, failing={bad}, rate=30)


def test_a_version_that_fails_its_example_in_mlflows_own_server_is_rejected(scene: Scene) -> None:
    first = scene.serve(runtime={"type": "MLflow", "workers": 1})
    bad = scene.add_version(Trait.FAILS_ITS_EXAMPLE)
    scene.promote(bad)
    rejection = scene.until_rejected(bad)
    assert rejection["reason"] == "InputExampleFailed"
    assert "x must not be 1" in rejection["message"]
    assert scene.status()["stable"]["version"] == first


# --- Custom


def add_linear_version(scene: Scene, folder: Path, bias: float | None) -> str:
    """Register a version that is a file of weights, or of nothing that its server can use."""
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    weights, code = folder / "weights.json", folder / "linear.py"
    weights.write_text("{}" if bias is None else json.dumps({"bias": bias, "weights": {"x": 2.0}}))
    code.write_text(_LINEAR)
    registry = scene.tracking.registry()
    asked = pd.DataFrame(QUESTION["dataframe_split"]["data"], columns=["x"])
    with warnings.catch_warnings():
        # MLflow has advice about models like this one, which is as it is on purpose.
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(registry.url)
        mlflow.set_experiment("modelvane-e2e")
        with mlflow.start_run():
            info = mlflow.pyfunc.log_model(
                name="linear",
                python_model=str(code),
                artifacts={"weights": str(weights)},
                signature=infer_signature(asked, [0.5]),
                pip_requirements=["a-package-that-no-image-has"],
            )
    assert info.model_id
    return register(registry.client, scene.model, Logged(info.model_uri, info.model_id, info.run_id))


def custom(scene: Scene) -> dict[str, Any]:
    """Return the parts of a spec by which the example of docs/runtimes.md serves, from any image with a Python."""
    metadata = {"name": "program", "namespace": scene.namespace.name}
    data = {"server.py": SERVER.read_text()}
    scene.namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    mounts = [{"name": "program", "mountPath": "/program", "readOnly": True}]
    serve = {"name": "serve", "command": ["python", "/program/server.py"], "volumeMounts": mounts}
    volumes = [{"name": "program", "configMap": {"name": "program"}}]
    return {
        "runtime": {"type": "Custom", "image": scene.images.python},
        "template": {"spec": {"containers": [serve], "volumes": volumes}},
    }


def test_a_custom_image_rolls_without_losing_a_request_and_is_judged(scene: Scene, tmp_path: Path) -> None:
    first = add_linear_version(scene, tmp_path, 0.5)
    scene.promote(first)
    scene.deploy(replicas=2, strategy=CANARY, analysis=ANALYSIS, **custom(scene))
    scene.until_serves(first)
    with scene.namespace.port_forward(f"service/{NAME}", 80) as url:
        assert json.loads(fetch(f"{url}/invocations", QUESTION)[0]) == {"predictions": [2.5]}
    scene.start_traffic()
    second = add_linear_version(scene, tmp_path, 10.0)
    scene.promote(second)
    scene.until_seen("it is measured", lambda seen: candidate(seen).get("analysis", {}).get("verdict") == "Passed")
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.until_revisions(1)

    # What a custom image says on its way out is the reason, as with ours.
    broken = add_linear_version(scene, tmp_path, None)
    scene.promote(broken)
    rejection = scene.until_rejected(broken)
    assert (rejection["reason"], rejection["message"]) == (
        "ModelLoadFailed",
        "weights.json cannot be used: KeyError: 'bias'",
    )
    scene.end_traffic(versions={first, second})
    # The packages that the model asks for are the custom image's affair.
    assert "environment" not in scene.status()["stable"]
    assert "EnvironmentDiffers" not in reasons(scene)


# --- HTTPS


def test_pods_with_tls_are_probed_and_measured(scene: Scene, tmp_path: Path) -> None:
    host = f"{NAME}.{scene.namespace.name}.svc"
    cert = make_tls_secret(scene.namespace, "served-tls", [f"DNS:{host}"], tmp_path)
    # Nobody asks but the operator, and all it asks is by HTTPS.
    first = scene.serve(
        runtime={"tls": {"secretName": "served-tls"}},
        service={"port": 443},
        strategy=CANARY,
        analysis={**ANALYSIS, "replay": True, "predictions": {}},
    )
    assert scene.status()["url"] == f"https://{host}"
    scene.watch()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    seen = scene.until_seen(
        "it is measured",
        lambda seen: candidate(seen).get("analysis", {}).get("verdict") == "Passed",
        seconds=90,
    )
    assert candidate(seen)["predictions"]["compared"] == 1
    scene.until_serves(second)
    # The name is the Service's; the address is that of this machine's end of the way.
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    with scene.namespace.port_forward(f"service/{NAME}", 443) as url:
        page, version = fetch(f"{url.replace('http:', 'https:')}/invocations", QUESTION, context)
        assert (json.loads(page), version) == ({"predictions": ["better"]}, second)
    assert first != second


# --- the image's packages


def test_packages_that_differ_are_in_the_status_and_told_once(scene: Scene, tmp_path: Path) -> None:
    code = tmp_path / "asking.py"
    code.write_text(_LINEAR.replace('raise NotImplementedError("its own server reads the weights")', 'return ["good"]'))
    registry = scene.tracking.registry()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(registry.url)
        mlflow.set_experiment("modelvane-e2e")
        with mlflow.start_run():
            info = mlflow.pyfunc.log_model(
                name="asking", python_model=str(code), pip_requirements=["a-package-that-no-image-has==1.0"]
            )
    assert info.model_id
    version = register(registry.client, scene.model, Logged(info.model_uri, info.model_id, info.run_id))
    scene.promote(version)
    scene.deploy()
    seen = scene.until_serves(version)
    assert "a-package-that-no-image-has" in seen["status"]["stable"]["environment"]
    told = [event for event in scene.namespace.get_all("events") if event["reason"] == "EnvironmentDiffers"]
    assert [(event["type"], event["count"]) for event in told] == [("Warning", 1)]
    assert told[0]["message"] == f"version {version}: {seen['status']['stable']['environment']}"
