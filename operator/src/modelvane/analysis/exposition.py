"""Reads the metrics page of a serving pod."""

from collections import Counter
from math import inf

from prometheus_client.parser import text_string_to_metric_families

from modelvane.analysis.figures import Figures

REQUESTS = "modelvane_requests_total"
DURATION = "modelvane_request_duration_seconds"
SERIES = (REQUESTS, f"{DURATION}_bucket", f"{DURATION}_sum")


def read_figures(page: str) -> Figures | None:
    """Read what a pod counted since its start, or None where the page is not that of our serving program.

    Only answers to predictions count: not those to probes, to a scraper, or to a path that does not exist.
    """
    # A custom image may have thousands of series of its own, and the parser takes its time with each.
    # Nothing but a newline ends a line of it: the name of a model may hold what Unicode calls one.
    lines = [line for line in page.split("\n") if line.startswith(SERIES)]
    try:
        return _read("\n".join(lines) + "\n")
    except (ValueError, KeyError, IndexError, OverflowError):
        return None


def _read(page: str) -> Figures | None:
    requests = errors = 0
    seconds = 0.0
    buckets: Counter[float] = Counter()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == REQUESTS and _predicts(sample.labels["path"]):
                requests += int(sample.value)
                errors += int(sample.value) if sample.labels["code"].startswith("5") else 0
            elif sample.name == f"{DURATION}_bucket":
                buckets[float(sample.labels["le"])] += int(sample.value)
            elif sample.name == f"{DURATION}_sum":
                seconds += sample.value
    return Figures(requests, errors, tuple(sorted(buckets.items())), seconds) if inf in buckets else None


def _predicts(path: str) -> bool:
    return path == "/invocations" or path.endswith("/infer")
