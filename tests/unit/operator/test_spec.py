"""Reading what users write, and the hash that must never change by accident."""

from datetime import timedelta

import pytest
from modelvane.spec import (
    ModelDeploymentSpec,
    ModelPointer,
    ModelRegistrySpec,
    template_hash,
)
from modelvane.units import format_duration, parse_duration, parse_size
from pydantic import ValidationError

REGISTRY = ModelRegistrySpec(uri="http://mlflow:5000")


def spec(**fields: object) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": {"name": "iris", "stage": "Production"}, **fields})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("500ms", 0.5), ("1h30m", 5400), ("1.5h", 5400), ("10m", 600), ("1m30s", 90), ("0s", 0)],
)
def test_a_duration_is_read_as_kubernetes_writes_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5d", "1h-30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 30s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["5s", "500ms", "1h30m", "1m30s", "0s", "2h500ms"])
def test_a_duration_is_written_as_it_was_read(text: str) -> None:
    duration = parse_duration(text)
    assert isinstance(duration, timedelta)
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    ("pointer", "uri"),
    [
        (ModelPointer(name="iris", stage="Production"), "models:/iris/Production"),
        (ModelPointer(name="iris", alias="champion"), "models:/iris@champion"),
        (ModelPointer(name="iris", version="3"), "models:/iris/3"),
    ],
)
def test_a_pointer_is_written_as_its_mlflow_uri(pointer: ModelPointer, uri: str) -> None:
    assert str(pointer) == uri


def test_an_unknown_strategy_is_an_error_and_not_a_surprise() -> None:
    with pytest.raises(ValidationError, match="RollingUpdate"):
        spec(strategy={"type": "Hope"})


def test_a_field_of_a_later_release_is_ignored() -> None:
    assert spec(mirror={"percent": 5}) == spec()


def test_the_hash_of_a_spec_never_changes() -> None:
    everything = spec(
        runtime={"image": "x:1", "workers": 2, "env": [{"name": "A", "value": "1"}], "envFrom": []},
        template={"metadata": {"labels": {"team": "x"}}, "spec": {"nodeSelector": {"pool": "gpu"}}},
        verification={"inputExample": False},
    )
    registry = ModelRegistrySpec.model_validate(
        {
            "uri": "https://x",
            "credentialsSecretRef": {"name": "a"},
            "artifactSecretRef": {"name": "b"},
            "caBundleRef": {"name": "c"},
            "workspace": "w",
            "pollInterval": "9s",
        }
    )
    # Another value here would roll every deployment of every user when the operator is upgraded.
    # What an earlier release's CRD made of a spec without a runtime, and what this one makes of it.
    plain, unset = spec(runtime={"workers": 1}), spec()
    hashes = [template_hash(plain, REGISTRY, None), template_hash(everything, registry, "2026-01-01")]
    assert hashes == ["20927371", "f45332af"]
    assert template_hash(unset, REGISTRY, None) == "0c266434"


def test_a_default_that_is_written_out_makes_the_same_hash() -> None:
    written = spec(
        runtime={"type": "Modelvane", "engine": "Auto", "environment": "Image", "env": [], "envFrom": []},
        template={"metadata": {}, "spec": {}},
        verification={"inputExample": True},
    )
    assert template_hash(written, REGISTRY, None) == template_hash(spec(), REGISTRY, None)


@pytest.mark.parametrize(
    "other",
    [
        spec(replicas=5),
        spec(suspend=True),
        spec(onPointerRemoved="ScaleToZero"),
        spec(service={"port": 81}),
        spec(strategy={"scaleDownDelay": "1m"}),
        spec(progressDeadline="1m"),
        spec(historyLimit=1),
        spec(model={"name": "iris", "alias": "champion"}),
    ],
)
def test_what_makes_no_pod_does_not_change_the_hash(other: ModelDeploymentSpec) -> None:
    assert template_hash(other, REGISTRY, None) == template_hash(spec(), REGISTRY, None)


def test_the_poll_interval_makes_no_pod() -> None:
    often = REGISTRY.model_copy(update={"poll_interval": timedelta(seconds=1)})
    assert template_hash(spec(), often, None) == template_hash(spec(), REGISTRY, None)


def test_what_makes_the_pod_changes_the_hash() -> None:
    elsewhere = REGISTRY.model_copy(update={"uri": "http://other:5000"})
    hashes = {
        template_hash(spec(), REGISTRY, None),
        template_hash(spec(), REGISTRY, "again"),
        template_hash(spec(), elsewhere, None),
        template_hash(spec(runtime={"image": "x:1"}), REGISTRY, None),
        template_hash(spec(template={"spec": {"nodeSelector": {"a": "b"}}}), REGISTRY, None),
        template_hash(spec(verification={"inputExample": False}), REGISTRY, None),
        template_hash(spec(model={"name": "wine", "stage": "Production"}), REGISTRY, None),
    }
    assert len(hashes) == 7


def test_each_choice_of_a_runtime_makes_another_pod() -> None:
    claim: dict[str, object] = {"persistentVolumeClaim": {"claimName": "models"}}
    runtimes: list[dict[str, object]] = [
        {},
        {"workers": 1},
        {"workers": 2},
        {"type": "MLflow"},
        {"type": "Custom", "image": "x:1"},
        {"engine": "Native"},
        {"environment": "FromModel"},
        {"maxModelSize": "1Gi"},
        {"cache": claim},
        {"cache": {**claim, "maxSize": "1Gi"}},
        {"tls": {"secretName": "iris-tls"}},
    ]
    assert len({template_hash(spec(runtime=runtime), REGISTRY, None) for runtime in runtimes}) == len(runtimes)


def test_a_size_makes_the_same_pod_however_it_is_written() -> None:
    mega, giga = (spec(runtime={"maxModelSize": size}) for size in ("2048Mi", "2Gi"))
    assert template_hash(mega, REGISTRY, None) == template_hash(giga, REGISTRY, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("0.5", 1),
        ("500k", 500_000),
        ("1.5M", 1_500_000),
        ("10Gi", 10 * 2**30),
        ("0.5Ki", 512),
        ("2Pi", 2**51),
    ],
)
def test_a_size_is_read_as_kubernetes_writes_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "-1", "1GB", "1K", "1e3", "1m"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 500Mi"):
        parse_size(text)
