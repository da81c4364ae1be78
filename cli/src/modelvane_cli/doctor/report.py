"""All findings of the facts, as a document and drawn for a person. Pure."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from modelvane_cli.doctor.cluster_checks import check_crds, check_operators, check_registry
from modelvane_cli.doctor.facts import Facts
from modelvane_cli.doctor.findings import Finding
from modelvane_cli.doctor.model_checks import check_model
from modelvane_cli.tree import Marks
from modelvane_cli.words import count


def diagnose(facts: Facts) -> list[Finding]:
    """Judge everything: first what all share, because it is the cause of most of the rest."""
    findings = [*check_crds(facts)]
    if facts.fields is None:
        return findings
    findings += check_operators(facts, facts.now)
    for registry in facts.registries:
        findings += check_registry(registry)
    registries = {str(one.resource["metadata"]["name"]): one for one in facts.registries}
    for model in facts.models:
        findings += check_model(model, registries, facts.now)
    return findings


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing is wrong. Notes are not wrong."""
    return not any(finding.level == "problem" for finding in findings)


def document(facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what `doctor -o json` prints."""
    return {
        "namespace": facts.namespace,
        "healthy": is_healthy(findings),
        "checked": {
            "modelDeployments": [model.seen.name for model in facts.models],
            "modelRegistries": [one.resource["metadata"]["name"] for one in facts.registries],
        },
        "findings": [finding.document() for finding in findings],
    }


def draw(facts: Facts, findings: Sequence[Finding], *, ascii_only: bool = False) -> RenderableType:
    """Draw the findings, the problems first."""
    marks = Marks.of(ascii_only=ascii_only)
    parts: list[RenderableType] = []
    for finding in sorted(findings, key=lambda one: one.level == "note"):
        mark, style = (marks.bad, "bold red") if finding.level == "problem" else (marks.waits, "bold yellow")
        parts.append(Text.assemble((f"{mark} {finding.about}", style), f": {finding.what}"))
        for title, said in (("why", finding.why), ("do", finding.do)):
            parts.append(Padding(Text.assemble((f"{title:<5}", "dim"), said), (0, 0, 0, 4)))
    looked = f"{count(len(facts.models), 'ModelDeployment')}, {count(len(facts.registries), 'ModelRegistry')}"
    looked = looked.replace("ModelRegistrys", "ModelRegistries")
    problems = sum(finding.level == "problem" for finding in findings)
    verdict = (
        Text.assemble((f"{marks.good} nothing is wrong", "bold green"))
        if not problems
        else Text(count(problems, "problem"), style="bold red")
    )
    parts.append(verdict.append(f" in namespace {facts.namespace} ({looked})", "default"))
    return Group(*parts)
