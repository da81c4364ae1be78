"""What gateways say about a route, and what they can do."""

from typing import Any

import pytest
from modelvane.cluster.gateway import missing_feature, read_route
from modelvane.spec import ParentRef

EDGE = ParentRef(name="edge", namespace="infra")
INNER = ParentRef(name="inner")


def condition(kind: str, status: str, reason: str = "Fine", message: str = "", generation: int = 2) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


def parent(ref: dict[str, str], *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"parentRef": ref, "controllerName": "example.com/gateway", "conditions": list(conditions)}


def route(*parents: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "iris", "generation": 2}, "status": {"parents": list(parents)}}


ON_EDGE = {"name": "edge", "namespace": "infra"}
GOOD = (condition("Accepted", "True"), condition("ResolvedRefs", "True"))


@pytest.mark.parametrize(
    ("seen", "wanted", "expected"),
    [
        (route(), (EDGE,), (False, None)),
        ({"metadata": {"generation": 1}}, (EDGE,), (False, None)),
        (route(parent(ON_EDGE, *GOOD)), (EDGE,), (True, None)),
        (route(parent(ON_EDGE, *GOOD)), (EDGE, INNER), (False, None)),
        (route(parent(ON_EDGE, *GOOD), parent({"name": "inner"}, *GOOD)), (EDGE, INNER), (True, None)),
        (route(parent(ON_EDGE, *GOOD), parent(ON_EDGE, *GOOD)), (EDGE, INNER), (False, None)),
        (route(parent({"name": "edge"}, *GOOD)), (EDGE,), (False, None)),
        (route(parent(ON_EDGE, condition("Accepted", "True", generation=1))), (EDGE,), (False, None)),
        (
            route(parent(ON_EDGE, condition("Accepted", "False", "NotAllowedByListeners", "no route may attach"))),
            (EDGE,),
            (False, "Gateway edge says NotAllowedByListeners: no route may attach"),
        ),
        (
            route(parent(ON_EDGE, GOOD[0], condition("ResolvedRefs", "False", "BackendNotFound"))),
            (EDGE,),
            (False, "Gateway edge says BackendNotFound"),
        ),
    ],
    ids=[
        "nobody answered",
        "no status",
        "accepted",
        "one of two accepted",
        "both accepted",
        "one of two accepted by two controllers",
        "a gateway of the same name elsewhere",
        "accepted as it was before",
        "refused",
        "a Service is missing",
    ],
)
def test_a_route_is_accepted_when_all_its_gateways_say_so_of_its_present_state(
    seen: dict[str, Any], wanted: tuple[ParentRef, ...], expected: tuple[bool, str | None]
) -> None:
    assert read_route(seen, wanted, "ns") == expected


def gateway_class(*features: object) -> dict[str, Any]:
    return {"metadata": {"name": "fast"}, "status": {"supportedFeatures": list(features)}}


@pytest.mark.parametrize(
    ("seen", "percent", "expected"),
    [
        (gateway_class(), 20, None),
        (gateway_class("HTTPRouteBackendTimeout"), 100, "GatewayClass fast does not list HTTPRouteRequestMirror"),
        (gateway_class({"name": "HTTPRouteRequestMirror"}), 100, None),
        (gateway_class("HTTPRouteRequestMirror"), 100, None),
        (
            gateway_class({"name": "HTTPRouteRequestMirror"}),
            20,
            "GatewayClass fast does not list HTTPRouteRequestPercentageMirror",
        ),
        (
            gateway_class({"name": "HTTPRouteRequestMirror"}, {"name": "HTTPRouteRequestPercentageMirror"}),
            20,
            None,
        ),
        ({"metadata": {"name": "fast"}}, 20, None),
    ],
)
def test_a_gateway_whose_class_lists_what_it_can_but_not_this_copies_no_requests(
    seen: dict[str, Any], percent: int, expected: str | None
) -> None:
    assert missing_feature(seen, percent) == expected
