"""What GitOps tools make of the operator's statuses: Argo CD by the Lua of our example, Flux by kstatus.

Every status is one that the operator's own code wrote; both judges are the real programs, in Go (`judge/`).
"""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelvane.engine.decide import decide
from modelvane.engine.memory import Memory
from modelvane.engine.state import Absent, Failure, Hold, Unreachable
from modelvane.engine.status import build_condition, build_invalid_status, build_status

from tests.cluster import tools
from tests.unit.operator.builder import NOW, Builder, a_deployment, workload

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
JUDGE = tools.Group("judge", (".",), module=HERE / "judge")

BROKEN = Failure("ModelLoadFailed", "it raised", permanent=True)
DOWN = Unreachable("ConnectionRefused", "http://mlflow:5000 refuses connections")
CANARY = {"type": "Canary", "steps": [{"weight": 50, "pause": {}}]}


@dataclass(frozen=True)
class Case:
    """A resource, and what each judge must say of it."""

    name: str
    resource: dict[str, Any]
    argocd: str
    kstatus: str


def deployment(status: dict[str, Any], *, generation: int = 1) -> dict[str, Any]:
    return resource("ModelDeployment", status, generation)


def registry(condition: str, reason: str, *, generation: int = 1) -> dict[str, Any]:
    ready = build_condition(None, "Ready", (condition, reason, "as told"), 1, NOW)  # type: ignore[arg-type]
    conditions = [ready.model_dump(mode="json", by_alias=True, exclude_none=True)]
    return resource("ModelRegistry", {"conditions": conditions, "observedGeneration": 1}, generation)


def resource(kind: str, status: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    metadata = {"name": "iris", "namespace": "ns", "generation": generation}
    return {"apiVersion": "serving.modelvane.dev/v1alpha1", "kind": kind, "metadata": metadata, "status": status}


def unseen(kind: str) -> dict[str, Any]:
    """Return a resource as the API server shows it before the operator has written to it."""
    (crd,) = (
        crd
        for crd in (yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml"))
        if crd["spec"]["names"]["kind"] == kind
    )
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    made = resource(kind, schema["properties"]["status"].get("default", {}))
    return made if made["status"] else {name: value for name, value in made.items() if name != "status"}


def status(builder: Builder, refusal: Hold | None = None) -> dict[str, Any]:
    observed = builder.observed()
    return build_status(observed, decide(observed, NOW), refusal, NOW)


def serving() -> Builder:
    return a_deployment().wants("1").serving("1")


def paused() -> Builder:
    waiting = a_deployment().with_spec(replicas=1, strategy=CANARY).wants("2").serving("1", ready=1, replicas=1)
    return waiting.rolling("2", ready=1, shifting=True)


def failing() -> Builder:
    builder = serving()
    builder.workloads = [workload("1", ready=1, failure=BROKEN)]
    return builder


def routed(problem: str | None) -> dict[str, Any]:
    """Return the status of what serves behind a gateway, which has something against the route or says nothing yet."""
    builder = serving().with_spec(gateway={"parentRefs": [{"name": "web"}]})
    observed = replace(builder.observed(), route_problem=problem, route_accepted=False)
    return build_status(observed, decide(observed, NOW), None, NOW)


CASES = [
    Case("no status yet", unseen("ModelDeployment"), "Progressing", "InProgress"),
    Case("a spec not yet seen", deployment(status(serving()), generation=2), "Progressing", "InProgress"),
    Case("nothing read yet", deployment(status(a_deployment())), "Progressing", "InProgress"),
    Case(
        "the pointer leads nowhere",
        deployment(status(a_deployment().finds(Absent("model iris has no version in stage Production")))),
        "Progressing",
        "InProgress",
    ),
    Case(
        "the first version",
        deployment(status(a_deployment().wants("1").rolling("1", replicas=2))),
        "Progressing",
        "InProgress",
    ),
    Case("at rest", deployment(status(serving())), "Healthy", "Current"),
    Case(
        "a rollout",
        deployment(status(a_deployment().wants("2").serving("1").rolling("2"))),
        "Progressing",
        "InProgress",
    ),
    Case("a rollout that waits for a person", deployment(status(paused())), "Suspended", "InProgress"),
    Case(
        "a rejected version",
        deployment(status(a_deployment().wants("2").serving("1").rejecting("2"))),
        "Degraded",
        "Failed",
    ),
    Case(
        "a rejected first version",
        deployment(status(a_deployment().wants("1").rejecting("1"))),
        "Degraded",
        "Failed",
    ),
    Case("the registry is down", deployment(status(serving().finds(DOWN))), "Healthy", "Current"),
    Case(
        "the registry is down before anything served",
        deployment(status(a_deployment().finds(DOWN))),
        "Progressing",
        "InProgress",
    ),
    Case("suspended", deployment(status(serving().with_spec(suspend=True))), "Suspended", "Current"),
    Case(
        "suspended in a rollout",
        deployment(status(paused().with_spec(suspend=True))),
        "Suspended",
        "Current",
    ),
    Case(
        "pods that have yet to start",
        deployment(status(a_deployment().wants("1").serving("1", ready=1))),
        "Progressing",
        "InProgress",
    ),
    # kstatus knows no illness but Stalled, which would be wrong here: a pod that starts again needs nobody.
    Case("pods that fail", deployment(status(failing())), "Degraded", "InProgress"),
    # Nor would it be right of a route: who owns the gateway can mend it, and nothing has to be asked for here.
    Case("a route that is refused", deployment(routed("Gateway web says NotAllowed")), "Degraded", "InProgress"),
    Case("a route that nobody has judged yet", deployment(routed(None)), "Progressing", "InProgress"),
    Case(
        "scaled to zero",
        deployment(status(a_deployment().with_spec(replicas=0).wants("1").serving("1", ready=0, replicas=0))),
        "Healthy",
        "Current",
    ),
    Case(
        "a spec that cannot be read",
        deployment(build_invalid_status(Memory.model_validate(status(serving())), 2, "no", NOW), generation=2),
        "Degraded",
        "Failed",
    ),
    Case("a registry, no status yet", unseen("ModelRegistry"), "Progressing", "InProgress"),
    Case("a registry that answers", registry("True", "Reachable"), "Healthy", "Current"),
    Case("a registry that does not answer", registry("False", "ConnectionRefused"), "Degraded", "InProgress"),
    Case("a registry's spec not yet seen", registry("True", "Reachable", generation=2), "Progressing", "InProgress"),
]


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """Return the Lua of the example by the kind that Argo CD runs it for."""
    data = yaml.safe_load((ROOT / "examples" / "argocd" / "argocd-cm.yaml").read_text())["data"]
    prefix = "resource.customizations.health.serving.modelvane.dev_"
    return {key.removeprefix(prefix): script for key, script in data.items()}


@pytest.fixture(scope="module")
def verdicts(scripts: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Ask both judges about all cases at once."""
    judge = tools.build([JUDGE])[JUDGE] / "judge"
    question = json.dumps({"resources": [case.resource for case in CASES], "scripts": scripts})
    done = subprocess.run([judge], input=question, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip((case.name for case in CASES), json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_tools_say_what_is_so(case: Case, verdicts: dict[str, dict[str, dict[str, str]]]) -> None:
    said = verdicts[case.name]
    assert (said["argocd"]["status"], said["kstatus"]["status"]) == (case.argocd, case.kstatus), said


def test_argo_cd_shows_the_sentence_that_names_both_versions(verdicts: dict[str, dict[str, dict[str, str]]]) -> None:
    assert (
        verdicts["a rejected version"]["argocd"]["message"]
        == verdicts["a rejected version"]["kstatus"]["message"]
        == "serving version 1, version 2 is rejected: ModelLoadFailed: it raised"
    )
    assert verdicts["a route that is refused"]["argocd"]["message"] == "Gateway web says NotAllowed"
