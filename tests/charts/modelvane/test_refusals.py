"""Values the chart does not take, each with the words that a user gets to see."""

from typing import Any

import pytest

from tests.charts import helm

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"replicaCount": 2}, "at '': additional properties 'replicaCount' not allowed"),
    "unknown key of the image": ({"image": {"tga": "1"}}, "at '/image': additional properties 'tga' not allowed"),
    "unknown key of the serving image": (
        {"serving": {"image": {"pullPolicy": "Always"}}},
        "at '/serving/image': additional properties 'pullPolicy' not allowed",
    ),
    "unknown key of the registry": (
        {"registry": {"url": "http://mlflow:5000"}},
        "at '/registry': additional properties 'url' not allowed",
    ),
    "unknown key of the CRDs": ({"crds": {"enabled": True}}, "at '/crds': additional properties 'enabled' not allowed"),
    "unknown pull policy": (
        {"image": {"pullPolicy": "Sometimes"}},
        "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    "number for a tag": ({"image": {"tag": 1.2}}, "at '/image/tag': got number, want string"),
    "text for a number": ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    "negative replicas": ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
    "no workers": ({"workers": 0}, "at '/workers': minimum: got 0, want 1"),
    "text for a switch": ({"crds": {"install": "yes"}}, "at '/crds/install': got string, want boolean"),
    "text for the namespaces": (
        {"watch": {"namespaces": "team-a,team-b"}},
        "at '/watch/namespaces': got string, want array",
    ),
    "namespace that is none": ({"watch": {"namespaces": ["Team_A"]}}, "at '/watch/namespaces/0': 'Team_A' does not"),
    "namespace given twice": (
        {"watch": {"namespaces": ["a", "a"]}},
        "at '/watch/namespaces': items at 0 and 1 are equal",
    ),
    "unknown log level": (
        {"logLevel": "INFO"},
        "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'",
    ),
    "poll interval without a unit": ({"registry": {"pollInterval": "5"}}, "at '/registry/pollInterval': '5' does not"),
    "webhook address without a scheme": ({"webhook": {"url": "hooks.example.com"}}, "at '/webhook/url': 'hooks."),
    "registry with a webhook that nobody takes": (
        {"registry": {"create": True, "webhookSecret": "webhook"}},
        'registry.webhookSecret is "webhook" but webhook.enabled is false: the operator would take no webhooks; '
        "set webhook.enabled=true",
    ),
    "registry without a name": ({"registry": {"name": ""}}, "at '/registry/name': minLength: got 0, want 1"),
    "port out of range": (
        {"metrics": {"service": {"port": 70000}}},
        "at '/metrics/service/port': maximum: got 70,000, want 65,535",
    ),
    "account of nobody": (
        {"serviceAccount": {"create": False}},
        "at '/serviceAccount/name': minLength: got 0, want 1",
    ),
    "label that is no string": ({"podLabels": {"release": 2}}, "at '/podLabels/release': got number, want string"),
    "variable that the chart sets": (
        {"env": [{"name": "MODELVANE_WORKERS", "value": "9"}]},
        "env: MODELVANE_WORKERS is set by the chart; remove it, or look in values.yaml for the value that sets it",
    ),
    "name that no Service may have": ({"fullnameOverride": "3d"}, "at '/fullnameOverride': '3d' does not match"),
}


@pytest.mark.parametrize(("values", "says"), REFUSALS.values(), ids=REFUSALS.keys())
def test_is_refused_with_the_message(values: dict[str, Any], says: str) -> None:
    assert says in helm.refusal("modelvane", values, release="modelvane")
