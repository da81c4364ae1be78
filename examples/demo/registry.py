"""MLflow's registry as its users see it: versions, and pointers to them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Registry:
    """One MLflow server, by its URL."""

    url: str

    @property
    def client(self) -> MlflowClient:
        """Return MLflow's own client."""
        from mlflow import MlflowClient  # noqa: PLC0415 - a second of import that `--help` and `--clean` do without

        return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def newest(self, model: str) -> str:
        """Return the highest version number of a model."""
        return str(max(int(found.version) for found in self.client.search_model_versions(f"name='{model}'")))

    def move_to(self, stage: str, model: str, version: str) -> None:
        """Put a version into a stage, and archive what was there."""
        with warnings.catch_warnings():
            # MLflow prefers aliases now; stages are what most registries still live by.
            warnings.simplefilter("ignore", FutureWarning)
            # "Archived" holds any number of versions: MLflow answers 500 to a request to archive those that are there.
            self.client.transition_model_version_stage(
                model, version, stage, archive_existing_versions=stage != "Archived"
            )

    def describe(self, model: str) -> str:
        """Say which version is the newest, and how accurate its run found it to be."""
        version = self.newest(model)
        run_id = self.client.get_model_version(model, version).run_id
        accuracy = self.client.get_run(run_id).data.metrics.get("accuracy") if run_id else None
        return f"version {version}" + (f", accuracy {accuracy:.3f}" if accuracy is not None else "")

    def has(self, model: str) -> bool:
        """Tell whether a model is registered."""
        return bool(self.client.search_registered_models(f"name='{model}'"))

    def forget(self, model: str) -> None:
        """Delete a model with all its versions, if it is there."""
        if self.has(model):
            self.client.delete_registered_model(model)
