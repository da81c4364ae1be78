"""The operator's own Prometheus series."""

from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, Info

RECONCILES = Counter("modelvane_reconcile", "Runs of the reconcile loop", ["result"])
RECONCILE_SECONDS = Histogram(
    "modelvane_reconcile_seconds", "Time one run of the reconcile loop takes", buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10)
)
REGISTRY_POLLS = Counter("modelvane_registry_polls", "Readings of a model registry", ["registry", "result"])
REGISTRY_LAST_SUCCESS = Gauge(
    "modelvane_registry_last_success_timestamp_seconds", "When a model registry last answered", ["registry"]
)
WEBHOOK_DELIVERIES = Counter("modelvane_webhook_deliveries", "Requests to the webhook's port", ["result"])
ROLLOUTS = Counter("modelvane_rollouts", "Finished rollouts", ["outcome"])
INFO = Info("modelvane", "The operator")
INFO.info({"version": version("modelvane")})
