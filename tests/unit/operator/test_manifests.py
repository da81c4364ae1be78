"""Merging a user's template, and noticing what differs."""

from typing import Any

import pytest
from modelvane.cluster.manifests import build_budget, build_deployment, build_service, differs
from modelvane.cluster.pod_template import merge
from modelvane.engine.state import Found, Revision, Traffic
from modelvane.names import ANNOTATION_APPLIED, ANNOTATION_IMAGE, LABEL_REVISION

from tests.unit.operator.builder import HASH, a_deployment, revision


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, {"a": None}, {}),
        (
            {"containers": [{"name": "serve", "image": "i"}]},
            {"containers": [{"name": "serve", "resources": {"limits": {"cpu": "1"}}}]},
            {"containers": [{"name": "serve", "image": "i", "resources": {"limits": {"cpu": "1"}}}]},
        ),
        (
            {"containers": [{"name": "serve"}]},
            {"containers": [{"name": "side"}]},
            {"containers": [{"name": "serve"}, {"name": "side"}]},
        ),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "2"}]},
            {"env": [{"name": "A", "value": "2"}]},
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
    ],
)
def test_a_template_is_merged_as_kubectl_patch_does(base: Any, patch: Any, merged: Any) -> None:
    assert merge(base, patch) == merged


@pytest.mark.parametrize(
    ("wanted", "live", "expected"),
    [
        ({"a": 1}, {"a": 1, "added": 2}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, None, True),
        ({"a": {"b": 1}}, {"a": {}}, True),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "added": 2}]}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, True),
    ],
)
def test_only_what_is_wanted_is_compared(wanted: object, live: object, expected: bool) -> None:
    assert differs(wanted, live) is expected


def test_a_field_that_is_no_longer_wanted_is_noticed() -> None:
    before = build_service(
        a_deployment().with_spec(service={"annotations": {"a": "b"}}).observed(), Traffic(revision("1"))
    )
    after = build_service(a_deployment().observed(), Traffic(revision("1")))
    assert differs(after, before)
    assert before["metadata"]["annotations"][ANNOTATION_APPLIED] != after["metadata"]["annotations"][ANNOTATION_APPLIED]


def test_the_labels_that_choose_the_pods_cannot_be_overwritten() -> None:
    o = (
        a_deployment()
        .with_spec(template={"metadata": {"labels": {LABEL_REVISION: "mine", "team": "x"}}})
        .finds(Found("1"))
        .observed()
    )
    labels = build_deployment(o, Revision("1", HASH), 1, "image:1")["spec"]["template"]["metadata"]["labels"]
    assert labels[LABEL_REVISION] == revision("1")
    assert labels["team"] == "x"


def test_a_revision_notes_the_image_it_was_made_with() -> None:
    o = a_deployment().finds(Found("1")).observed()
    deployment = build_deployment(o, Revision("1", HASH), 1, "image:1")
    assert deployment["metadata"]["annotations"][ANNOTATION_IMAGE] == "image:1"
    own = a_deployment().with_spec(runtime={"image": "mine:2"}).observed()
    assert build_deployment(own, Revision("1", HASH), 1, "image:1")["metadata"]["annotations"][ANNOTATION_IMAGE] == (
        "mine:2"
    )


def test_credentials_reach_the_fetch_container_only() -> None:
    o = a_deployment().observed()
    assert o.registry is not None
    secret = o.registry.model_validate({"uri": "http://x", "credentialsSecretRef": {"name": "login"}})
    o = a_deployment().but(registry=secret).observed()
    pod = build_deployment(o, Revision("1", HASH), 1, "image:1")["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["envFrom"] == [{"secretRef": {"name": "login"}}]
    assert "login" not in str(pod["containers"])
    assert "MLFLOW" not in str(pod["containers"])


def test_one_pod_alone_has_no_disruption_budget() -> None:
    assert build_budget(a_deployment().with_spec(replicas=1).observed()) is None
    assert build_budget(a_deployment().with_spec(replicas=2).observed()) is not None
