"""The Modelvane operator: points serving where the MLflow model registry points."""
