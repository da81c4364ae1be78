"""The metrics page of a serving pod, as the serving program itself writes it."""

import re
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelvane.analysis.exposition import read_figures
from modelvane_serving.metrics import BUCKETS, Metrics

GUIDE = Path(__file__).parents[3] / "docs" / "analysis.md"


def page(*answers: tuple[int, str, float], model: str = 'iris "v\\2"') -> str:
    """Let the serving program write a page after these answers: code, route and, for a prediction, seconds."""
    metrics = Metrics(model=model, version="3", revision="v3-0a1b2c3d")
    for code, path, seconds in answers:
        metrics.count(code, path)
        if path.endswith(("invocations", "infer")):
            metrics.duration.observe(seconds)
    return metrics.render().decode()


def test_answers_to_predictions_are_counted_whatever_their_protocol() -> None:
    figures = read_figures(
        page(
            (200, "/invocations", 0.5),
            (200, "/v2/models/{model}/infer", 0.25),
            (500, "/v2/models/{model}/versions/{version}/infer", 0.25),
        )
    )
    assert figures is not None
    assert (figures.requests, figures.errors, figures.seconds) == (3, 1, 1.0)


def test_a_wrong_request_is_not_the_models_error() -> None:
    figures = read_figures(page((400, "/invocations", 0), (499, "/invocations", 0), (503, "/invocations", 0)))
    assert figures is not None
    assert (figures.requests, figures.errors) == (3, 1)


def test_probes_scrapes_and_unknown_paths_are_no_predictions() -> None:
    paths = ("/health", "/metrics", "/model-info", "/input-example", "/v2/models/{model}/ready", "other")
    figures = read_figures(page(*((500, path, 0) for path in paths)))
    assert figures is not None
    assert (figures.requests, figures.errors) == (0, 0)


def test_a_pod_that_was_never_asked_has_nought_requests() -> None:
    figures = read_figures(page())
    assert figures is not None
    assert (figures.requests, figures.buckets[-1]) == (0, (inf, 0))


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085"])
def test_only_a_newline_ends_a_line(end: str) -> None:
    figures = read_figures(page((200, "/invocations", 0.5), model=f"a{end}b"))
    assert figures is not None
    assert figures.requests == 1


def test_buckets_rise_to_an_infinite_one() -> None:
    figures = read_figures(page((200, "/invocations", 0.003), (200, "/invocations", 1e9)))
    assert figures is not None
    assert figures.buckets[-1] == (inf, 2)
    assert all(early < late for early, late in pairwise(bound for bound, _ in figures.buckets))
    assert figures.quantile(0.25) == pytest.approx(0.003, abs=0.001)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not found</html>",
        "process_cpu_seconds_total 3.5\n",
        'modelvane_requests_total{code="200"} 1\n',
        "modelvane_request_duration_seconds_bucket{le=",
        'modelvane_request_duration_seconds_bucket{le="+Inf"} NaN\n',
        'modelvane_request_duration_seconds_bucket{le="+Inf"} +Inf\n',
    ],
)
def test_the_page_of_another_program_has_no_figures(text: str) -> None:
    assert read_figures(text) is None


@given(st.integers(min_value=0), st.text(max_size=20))
def test_a_damaged_page_never_raises(at: int, damage: str) -> None:
    text = page((200, "/invocations", 0.1))
    at %= len(text)
    read_figures(text[:at] + damage + text[at + len(damage) :])


def test_the_guide_names_the_bounds_of_the_buckets() -> None:
    """People choose limits by it."""
    line = re.search(r"^    1  2  3 .*$", GUIDE.read_text(), re.MULTILINE)
    assert line is not None
    milliseconds, seconds = (re.findall(r"[\d.]+", part) for part in line[0].removesuffix(" s").split(" ms "))
    assert (*(float(bound) / 1000 for bound in milliseconds), *map(float, seconds)) == BUCKETS
