"""Events: the story of a resource, told on the resource itself. One that is lost is no reason to fail."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from modelvane.cluster.kube import EVENT, Kube, RefusedError
from modelvane.engine.memory import format_time
from modelvane.engine.state import Event, Key
from modelvane.names import API_VERSION, COMPONENT
from modelvane.queue import TryAgainError

logger = logging.getLogger(__name__)


async def post_events(kube: Kube, key: Key, resource: dict[str, Any], events: Sequence[Event], instance: str) -> None:
    """Tell what happened to a resource, in the log and in the cluster."""
    for event in events:
        level = logging.WARNING if event.type == "Warning" else logging.INFO
        logger.log(level, "%s: %s: %s", key, event.reason, event.message)
        try:
            await kube.post(EVENT, key.namespace, _build(key, resource, event, instance))
        except (TryAgainError, RefusedError) as error:
            logger.warning("%s: the event %s is lost: %s", key, event.reason, error)


def _build(key: Key, resource: dict[str, Any], event: Event, instance: str) -> dict[str, Any]:
    """Write an event down. Its name begins with the resource's and goes on with the time.

    kubectl lists by name and sorts by whole seconds, in which a rollout tells several sentences: so the story is listed
    in the order in which it happened.
    """
    now = datetime.now(UTC)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{time.time_ns():016x}", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "name": key.name,
            "namespace": key.namespace,
            "uid": resource["metadata"]["uid"],
            "resourceVersion": resource["metadata"]["resourceVersion"],
        },
        "type": event.type,
        "reason": event.reason,
        "action": event.reason,
        "message": event.message[:1024],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance[:128],
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }
