"""The serving runtime: one version of one MLflow model, fetched, verified and served."""
