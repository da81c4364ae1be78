"""What gateways say about an HTTPRoute, and what they can do. Pure.

The objects are those of the Gateway API, v1: https://gateway-api.sigs.k8s.io/reference/spec/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from modelvane.spec import ParentRef

Object = Mapping[str, Any]

MIRROR = "HTTPRouteRequestMirror"
MIRROR_SHARE = "HTTPRouteRequestPercentageMirror"


def read_route(route: Object, wanted: Sequence[ParentRef], namespace: str) -> tuple[bool, str | None]:
    """Say whether every gateway takes a route as it is now, and if one does not, why."""
    generation = route["metadata"].get("generation", 0)
    statuses = route.get("status", {}).get("parents") or ()
    accepted = True
    for parent in wanted:
        taken = False
        for status in statuses:
            if not _is_about(status.get("parentRef", {}), parent, namespace):
                continue
            conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
            current = [c for c in conditions.values() if c.get("observedGeneration", generation) >= generation]
            refused = next(
                (c for c in current if c["type"] in ("Accepted", "ResolvedRefs") and c["status"] == "False"), None
            )
            if refused is not None:
                return False, f"Gateway {parent.name} says {refused['reason']}: {refused.get('message', '')}".rstrip(
                    ": "
                )
            taken = taken or any(c["type"] == "Accepted" and c["status"] == "True" for c in current)
        accepted = accepted and taken
    return accepted, None


def missing_feature(gateway_class: Object, percent: int) -> str | None:
    """Say what a gateway lacks for copying requests, as far as its class tells.

    A gateway may accept a route with a filter that it does not know, and then answer every request with an error: only
    the features that its class lists tell. A class that lists none at all, as Envoy Gateway's, is taken at its word.
    """
    listed = gateway_class.get("status", {}).get("supportedFeatures")
    if not listed:
        return None
    features = {feature["name"] if isinstance(feature, Mapping) else feature for feature in listed}
    needed = (MIRROR,) if percent == 100 else (MIRROR, MIRROR_SHARE)
    missing = next((name for name in needed if name not in features), None)
    return f"GatewayClass {gateway_class['metadata']['name']} does not list {missing}" if missing else None


def _is_about(reference: Object, parent: ParentRef, namespace: str) -> bool:
    return (
        reference.get("name") == parent.name
        and reference.get("namespace", namespace) == (parent.namespace or namespace)
        and (parent.section_name is None or reference.get("sectionName") == parent.section_name)
        and (parent.port is None or reference.get("port") == parent.port)
    )
