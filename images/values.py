"""The Helm values that point each chart at images built here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def image_values(ref: str) -> dict[str, str]:
    """Split a reference into the two values of a chart; without the host that every client adds itself."""
    repository, _, tag = ref.removeprefix("docker.io/").rpartition(":")
    return {"repository": repository, "tag": tag}


def mlflow_values(refs: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of charts/mlflow."""
    return {
        "image": image_values(refs["mlflow"]),
        "embedded": {
            "postgresql": {"image": image_values(refs["postgres"])},
            "s3": {"image": image_values(refs["seaweedfs"])},
        },
    }


def modelvane_values(refs: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of charts/modelvane."""
    return {"image": image_values(refs["operator"]), "serving": {"image": image_values(refs["serving"])}}


# Which images a chart runs, and the values made of them.
CHARTS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, str]], dict[str, Any]]]] = {
    "mlflow": (("mlflow", "postgres", "seaweedfs"), mlflow_values),
    "modelvane": (("operator", "serving"), modelvane_values),
}
