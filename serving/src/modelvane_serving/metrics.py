"""Prometheus metrics of one serving process, or of all its workers added up.

prometheus_client decides when it is imported whether it counts in memory or in files shared by several processes, so
this module is imported after `PROMETHEUS_MULTIPROC_DIR` is set, and only set when there is more than one worker.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABELS = ("model", "version", "revision")
# Round numbers from a linear model's answer to a slow one's, because people write round limits: whether a latency is
# above a limit is only certain where the limit is one of these bounds.
BUCKETS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75,
    1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0,
)  # fmt: skip

# Rows: powers of two, as batches are.
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

# A second series for each counter, of when it began, would double what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts requests; every series carries the model, its version and the revision that serves it."""

    def __init__(self, *, model: str, version: str, revision: str) -> None:
        self._registry = CollectorRegistry()
        self._identity = (model, version, revision)
        shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._requests = Counter(
            "modelvane_requests_total",
            "Requests answered, by status code and route.",
            (*LABELS, "code", "path"),
            registry=self._registry,
        )
        duration = Histogram(
            "modelvane_request_duration_seconds",
            "Seconds from the head of a prediction request to its answer.",
            LABELS,
            buckets=BUCKETS,
            registry=self._registry,
        )
        in_flight = Gauge(
            "modelvane_requests_in_flight",
            "Prediction requests being answered.",
            LABELS,
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        batch_rows = Histogram(
            "modelvane_batch_rows",
            "Rows that one call of the model answered.",
            LABELS,
            buckets=BATCH_BUCKETS,
            registry=self._registry,
        )
        waiting = Gauge(
            "modelvane_requests_waiting",
            "Prediction requests that wait for the model.",
            LABELS,
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._errors = Counter(
            "modelvane_errors_total",
            "Requests refused or failed, by the code of the answer.",
            (*LABELS, "code"),
            registry=self._registry,
        )
        self._info = Gauge(
            "modelvane_model_info",
            "What is served: always 1.",
            (*LABELS, "run_id", "digest", "engine"),
            multiprocess_mode="max",
            registry=self._registry,
        )
        self.duration = duration.labels(*self._identity)
        self.in_flight = in_flight.labels(*self._identity)
        self.batch_rows = batch_rows.labels(*self._identity)
        self.waiting = waiting.labels(*self._identity)
        # The label of a series is looked up by its text; this is the way of every request.
        self._counters: dict[tuple[int, str], Counter] = {}
        self._error_counters: dict[str, Counter] = {}
        # A registry of its own: the collector reads the files of all workers, this one's included.
        self._output = CollectorRegistry() if shared else self._registry
        if shared:
            MultiProcessCollector(self._output)  # type: ignore[no-untyped-call]

    def describe_model(self, *, run_id: str, digest: str, engine: str) -> None:
        """Set the info series."""
        self._info.labels(*self._identity, run_id, digest, engine).set(1)

    def count(self, code: int, path: str) -> None:
        """Count one answer; `path` is the route, never what the caller typed."""
        counter = self._counters.get((code, path))
        if counter is None:
            counter = self._counters[code, path] = self._requests.labels(*self._identity, str(code), path)
        counter.inc()

    def count_error(self, code: str) -> None:
        """Count an answer that is no success by the code in its body."""
        counter = self._error_counters.get(code)
        if counter is None:
            counter = self._error_counters[code] = self._errors.labels(*self._identity, code)
        counter.inc()

    def render(self) -> bytes:
        """Write the exposition."""
        return generate_latest(self._output)
