"""What must hold for every way to install any chart, one ci/*-values.yaml each."""

import pathlib

import pytest

from tests.charts import helm

in_every_scenario = pytest.mark.parametrize(
    ("chart", "values"),
    [
        pytest.param(chart, values, id=f"{chart}-{values.stem.removesuffix('-values')}")
        for chart in ("mlflow", "modelvane")
        for values in helm.scenarios(chart)
    ],
)


@in_every_scenario
def test_helm_lint_finds_nothing(chart: str, values: pathlib.Path) -> None:
    helm.lint(chart, values)


@in_every_scenario
def test_second_render_is_the_same(chart: str, values: pathlib.Path) -> None:
    assert helm.render(chart, values, release=chart) == helm.render(chart, values, release=chart)


@in_every_scenario
def test_containers_ask_for_resources_and_cap_their_memory(chart: str, values: pathlib.Path) -> None:
    for name, pod in helm.pods(helm.manifests(chart, values, release=chart)):
        for container in helm.containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), (name, container["name"])
            assert "memory" in resources["limits"], (name, container["name"])
