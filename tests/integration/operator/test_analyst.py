"""The analyst against real serving processes and a real Prometheus."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from modelvane.analysis.analyst import Analyst, Trial
from modelvane.analysis.exposition import read_figures
from modelvane.analysis.figures import Comparison, Figures, Measurement
from modelvane.analysis.verdict import Verdict, check, compare
from modelvane.engine.state import Key, Workload
from modelvane.spec import Predictions

from tests.integration.operator import prometheus_server
from tests.integration.operator.prometheus_server import Prometheus
from tests.integration.operator.revisions import (
    KEY,
    NOW,
    Pods,
    analysis,
    ask,
    rows_of_iris,
    save_iris,
    save_workbench,
    start,
    workload,
)
from tests.serving import train
from tests.serving.processes import Server, free_port

STEP = timedelta(seconds=10)


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    folder = save_workbench(tmp_path_factory.mktemp("analyst") / "workbench")
    port = free_port()
    stable = start(folder, port, "127.0.0.2", "3")
    candidates = start(folder, port, "127.0.0.3", "4"), start(folder, port, "127.0.0.4", "4")
    running = Pods(port, stable, candidates)
    try:
        for server in running.servers:
            server.wait_ready()
        yield running
    finally:
        for server in running.servers:
            server.process.send_signal(signal.SIGCONT)
            server.process.kill()
            server.process.wait()


@pytest.fixture
def candidate(pods: Pods) -> Workload:
    return workload("4", *pods.candidates)


@pytest.fixture
def stable(pods: Pods) -> Workload:
    return workload("3", pods.stable)


def predictions(server: Server) -> float:
    """Count the answers of a server, without those to Prometheus."""
    return server.metric(r'modelvane_requests_total\{[^}]*path="/invocations"[^}]*\}')


def run(port: int, story: Callable[[Analyst], Awaitable[Any]]) -> Any:
    """Run a story with an analyst of its own, and close it as the operator does."""

    async def tell() -> Any:
        analyst = Analyst(lambda _: None, port=port)
        try:
            return await story(analyst)
        finally:
            await analyst.close()

    return asyncio.run(tell())


async def measure_around(analyst: Analyst, trial: Trial, work: Callable[[], Any], times: int = 1) -> Measurement:
    """Take the baseline, let something happen, and measure."""
    assert await analyst.measure(trial, NOW) is None
    for _ in range(times):
        await asyncio.to_thread(work)
    measured = await analyst.measure(trial, NOW + STEP)
    assert measured is not None
    return measured


def test_requests_and_errors_of_both_revisions_are_counted(pods: Pods, candidate: Workload, stable: Workload) -> None:
    one, other = pods.candidates

    def work() -> None:
        assert set(ask(one, 5)) == {200}
        assert set(ask(other, 3, mode="raise")) == {500}
        assert ask(other, 2, factor="no number") == [400, 400]
        assert set(ask(pods.stable, 4)) == {200}
        assert one.get("/health").status_code == 200
        assert one.get("/nowhere").status_code == 404

    trial = Trial(KEY, analysis(maxErrorRate="1%"), candidate, stable, NOW)
    measured = run(pods.port, lambda analyst: measure_around(analyst, trial, work))
    ours, theirs = measured.candidate, measured.stable
    assert (ours.requests, ours.errors, theirs.requests, theirs.errors) == (10, 3, 4, 0)
    assert (ours.buckets[-1][1], theirs.buckets[-1][1]) == (10, 4)
    assert (measured.since, measured.until, measured.trouble) == (NOW, NOW + STEP, None)
    verdict = check(trial.analysis, measured)
    assert verdict.verdict is Verdict.FAILED
    assert verdict.message == "error rate 30% is above maxErrorRate 1% (3 of 10 requests; stable 0%)"


def test_latency_is_that_of_the_slow_answers(pods: Pods, candidate: Workload, stable: Workload) -> None:
    def work() -> None:
        ask(pods.candidates[0], 3, sleep=0.3)
        ask(pods.stable, 3)

    trial = Trial(KEY, analysis(maxLatencyP95="200ms"), candidate, stable, NOW)
    measured = run(pods.port, lambda analyst: measure_around(analyst, trial, work))
    bounds = measured.candidate.bounds(0.5)
    assert bounds[0] <= 0.31 <= bounds[1] + 0.2
    assert measured.candidate.mean >= 0.3
    assert measured.stable.mean < 0.2
    assert check(trial.analysis, measured).verdict is Verdict.FAILED


def test_a_window_grows_until_it_is_begun_anew(pods: Pods, candidate: Workload, stable: Workload) -> None:
    async def story(analyst: Analyst) -> list[Any]:
        trial = Trial(KEY, analysis(), candidate, stable, NOW)
        seen = []
        await analyst.measure(trial, NOW)
        # The second check came to a verdict; the third did not, and its caller forgot about the second.
        for i, start_at in enumerate((NOW, NOW, NOW + 2 * STEP, NOW), 1):
            await asyncio.to_thread(ask, pods.candidates[0], i)
            assert await analyst.measure(replace(trial, start=start_at), NOW + i * STEP - STEP / 2) is None
            seen.append(await analyst.measure(replace(trial, start=start_at), NOW + i * STEP))
        return seen

    seen = run(pods.port, story)
    assert [m.candidate.requests for m in seen] == [1, 3, 3, 7]
    assert [m.since for m in seen] == [NOW, NOW, NOW + 2 * STEP, NOW + 2 * STEP]


def test_a_step_that_begins_between_two_looks_does_not_inherit_requests(
    pods: Pods, candidate: Workload, stable: Workload
) -> None:
    async def story(analyst: Analyst) -> Any:
        trial = Trial(KEY, analysis(), candidate, stable, NOW)
        await analyst.measure(trial, NOW)
        await asyncio.to_thread(ask, pods.candidates[0], 3, mode="raise")
        trial = replace(trial, start=NOW + STEP / 2)
        assert await analyst.measure(trial, NOW + STEP / 2) is None
        await asyncio.to_thread(ask, pods.candidates[0], 1)
        return await analyst.measure(trial, NOW + STEP / 2 + STEP)

    measured = run(pods.port, story)
    assert (measured.candidate.requests, measured.candidate.errors) == (1, 0)


def test_another_operator_judges_nothing_that_it_did_not_see(pods: Pods, candidate: Workload, stable: Workload) -> None:
    ask(pods.candidates[0], 5, mode="raise")
    trial = Trial(KEY, analysis(), candidate, stable, NOW - STEP)
    measured = run(pods.port, lambda analyst: measure_around(analyst, trial, lambda: ask(pods.candidates[0], 2)))
    assert (measured.candidate.requests, measured.candidate.errors) == (2, 0)
    assert measured.since == NOW


def test_a_pod_that_became_ready_meanwhile_is_counted_from_its_start(pods: Pods) -> None:
    trial = Trial(KEY, analysis(), workload("4", pods.candidates[0]), None, NOW)
    late = Trial(KEY, trial.analysis, workload("4", pods.candidates[0], "127.0.0.9"), None, NOW)
    late_pod = replace(late.candidate.pods[1], ready_since=NOW + STEP / 2)
    late = replace(late, candidate=replace(late.candidate, pods=(late.candidate.pods[0], late_pod)))
    server: Server | None = None

    async def story(analyst: Analyst) -> Any:
        nonlocal server
        assert await analyst.measure(trial, NOW) is None
        server = start(pods.stable.model_dir, pods.port, "127.0.0.9", "4")
        await asyncio.to_thread(server.wait_ready)
        await asyncio.to_thread(ask, server, 4)
        first = await analyst.measure(late, NOW + STEP)
        server.process.kill()
        server.process.wait()
        gone = await analyst.measure(late, NOW + 2 * STEP)
        server = start(pods.stable.model_dir, pods.port, "127.0.0.9", "4")
        await asyncio.to_thread(server.wait_ready)
        await asyncio.to_thread(ask, server, 1, mode="raise")
        return first, gone, await analyst.measure(late, NOW + 3 * STEP)

    try:
        measured = run(pods.port, story)
    finally:
        assert server is not None
        server.process.kill()
        server.process.wait()
    # Four answers, then none while it was away, then one of a process that began to count anew.
    assert [m.candidate.requests for m in measured] == [4, 4, 5]
    assert [m.candidate.errors for m in measured] == [0, 0, 1]
    assert [m.trouble for m in measured] == [None, None, None]


def test_a_pod_that_hangs_is_left_out_and_holds_up_nothing(pods: Pods, candidate: Workload, stable: Workload) -> None:
    one, other = pods.candidates
    trial = Trial(KEY, analysis(), candidate, stable, NOW)

    async def story(analyst: Analyst) -> tuple[Measurement, float]:
        await analyst.measure(trial, NOW)
        await asyncio.to_thread(ask, one, 2)
        other.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        measured = await analyst.measure(trial, NOW + STEP)
        other.process.send_signal(signal.SIGCONT)
        assert measured is not None
        return measured, time.monotonic() - began

    measured, took = run(pods.port, story)
    assert (measured.candidate.requests, measured.trouble) == (2, None)
    assert took < 3


def test_pods_without_an_answer_are_named() -> None:
    trial = Trial(KEY, analysis(maxErrorRate="1%"), workload("4", "127.0.0.7", "127.0.0.8"), None, NOW)
    measured = run(free_port(), lambda analyst: measure_around(analyst, trial, lambda: None))
    pod = "iris-v4-0a1b2c3d-127.0.0"
    refused = "no connection (Connection refused)"
    expected = f"no pod of version 4 shows its metrics: {pod}.7: {refused}; {pod}.8: {refused}"
    assert measured.trouble == expected
    assert check(trial.analysis, measured).verdict is Verdict.INCONCLUSIVE


def test_a_candidate_without_ready_pods_is_said_to_have_none() -> None:
    trial = Trial(KEY, analysis(), workload("4"), None, NOW)
    measured = run(free_port(), lambda analyst: measure_around(analyst, trial, lambda: None))
    assert measured.trouble == "version 4 has no ready pod"


# Prometheus


@pytest.fixture(scope="module")
def prometheus(pods: Pods, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    targets = [f"{server.host}:{pods.port}" for server in pods.servers]
    for server in pods.servers:
        ask(server, 40)
        ask(server, 5, sleep=0.05)
    running = prometheus_server.start(tmp_path_factory.mktemp("prometheus"), free_port(), targets)
    try:
        running.wait_for("modelvane_model_info", 3)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


def measure_queries(prometheus: str, trial: Trial, port: int, *queries: tuple[str, str]) -> Measurement:
    asked = [{"name": name, "query": query} for name, query in queries]
    wanted = analysis(prometheus={"address": prometheus, "queries": asked})
    measured = run(port, lambda analyst: measure_around(analyst, replace(trial, analysis=wanted), lambda: None))
    assert isinstance(measured, Measurement)
    return measured


@pytest.fixture
def trial(candidate: Workload, stable: Workload) -> Trial:
    return Trial(KEY, analysis(), candidate, stable, NOW)


def test_queries_get_the_revisions_that_are_compared(prometheus: Prometheus, pods: Pods, trial: Trial) -> None:
    measured = measure_queries(
        prometheus.url,
        trial,
        pods.port,
        ("candidates", 'sum(modelvane_model_info{revision="{{candidate}}", model="{{name}}"})'),
        ("stables", 'count(up * on(instance) modelvane_model_info{revision="{{stable}}"})'),
        ("scalar", "scalar(vector(7))"),
        ("rate", 'sum(rate(modelvane_requests_total{path="/other", revision="{{candidate}}"}[{{interval}}]))'),
        ("nought by nought", "vector(0) / vector(0)"),
    )
    expected = {"candidates": 2, "stables": 1, "scalar": 7, "rate": None, "nought by nought": None}
    assert measured.queries == expected
    assert measured.trouble is None


def test_quantiles_are_those_of_prometheus(prometheus: Prometheus, pods: Pods, trial: Trial) -> None:
    """What is judged is what a dashboard shows."""
    time.sleep(2)  # Each pod is scraped once more after the last request to it.
    pages = [read_figures(server.get("/metrics").text) for server in pods.candidates]
    total = sum((figures for figures in pages if figures is not None), Figures())
    assert total.requests > 50
    series = 'sum by (le) (modelvane_request_duration_seconds_bucket{revision="{{candidate}}"})'
    levels = (0.01, 0.5, 0.9, 0.95, 0.99, 1.0)
    for q in levels:
        measured = measure_queries(prometheus.url, trial, pods.port, ("q", f"histogram_quantile({q}, {series})"))
        assert measured.queries["q"] == pytest.approx(total.quantile(q), rel=1e-12), q


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum(", 'query q: invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
        ("modelvane_model_info", "query q: 3 series, expected one; aggregate them, for example with sum()"),
        ("up[1m]", "query q: the result is a matrix, expected a scalar or a vector with one series"),
    ],
)
def test_a_query_that_gives_no_number_is_said_why(
    prometheus: Prometheus, pods: Pods, trial: Trial, query: str, expected: str
) -> None:
    measured = measure_queries(prometheus.url, trial, pods.port, ("q", query), ("good", "vector(1)"))
    assert (measured.trouble, measured.queries) == (expected, {"good": 1})


def test_a_prometheus_that_is_down_is_named_once(pods: Pods, trial: Trial) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    measured = measure_queries(address, trial, pods.port, ("a", "up"), ("b", "up"))
    assert measured.trouble == f"Prometheus at {address} gives no connection (Connection refused)"
    assert measured.queries == {}


def test_a_server_that_is_no_prometheus_is_said_to_be_none(pods: Pods, trial: Trial) -> None:
    measured = measure_queries(pods.stable.url, trial, pods.port, ("a", "up"))
    assert measured.trouble == "query a: the answer is not that of Prometheus (status 404)"


def test_a_page_without_our_series_is_not_judged(prometheus: Prometheus) -> None:
    """A pod with an image of someone else's, here Prometheus itself, has metrics of its own."""
    port = int(prometheus.url.rpartition(":")[2])
    trial = Trial(KEY, analysis(), workload("4", "127.0.0.1"), None, NOW)
    measured = run(port, lambda analyst: measure_around(analyst, trial, lambda: None))
    pod = "iris-v4-0a1b2c3d-127.0.0.1"
    expected = f"no pod of version 4 shows its metrics: {pod}: no metrics of the serving program"
    assert measured.trouble == expected


# Replay


def test_replay_brings_as_many_requests_as_are_needed_and_then_ends(
    pods: Pods, candidate: Workload, stable: Workload
) -> None:
    trial = Trial(KEY, analysis(interval="2s", minRequests=12, replay=True), candidate, stable, NOW)
    before = [predictions(server) for server in pods.servers]

    async def story(analyst: Analyst) -> tuple[Any, float]:
        await analyst.measure(trial, NOW)
        await asyncio.sleep(2)
        measured = await analyst.measure(trial, NOW + timedelta(seconds=2))
        analyst.forget(KEY)
        await asyncio.sleep(0.3)
        ended = predictions(pods.stable)
        await asyncio.sleep(1)
        assert predictions(pods.stable) == ended
        return measured, ended

    measured, ended = run(pods.port, story)
    assert 12 <= measured.candidate.requests <= 20
    assert 12 <= measured.stable.requests <= 20
    assert (measured.candidate.errors, measured.trouble) == (0, None)
    after = [predictions(server) for server in pods.servers]
    assert min(now - then for now, then in zip(after, before, strict=True)) >= 4  # every pod has its share
    assert ended - before[0] <= 20


def test_replay_sends_nothing_where_enough_requests_come_by_themselves(pods: Pods, candidate: Workload) -> None:
    trial = Trial(KEY, analysis(interval="1s", minRequests=5, replay=True), candidate, None, NOW)

    async def story(analyst: Analyst) -> None:
        await analyst.measure(trial, NOW)
        await asyncio.to_thread(ask, pods.candidates[0], 6)
        await asyncio.to_thread(ask, pods.candidates[1], 6)
        await analyst.measure(trial, NOW + timedelta(seconds=1))
        await asyncio.sleep(0.5)  # What was on its way has arrived.
        counted = [predictions(server) for server in pods.candidates]
        await asyncio.sleep(1)
        assert [predictions(server) for server in pods.candidates] == counted

    run(pods.port, story)


def test_a_model_without_an_input_example_cannot_be_replayed(pods: Pods, tmp_path: Path) -> None:
    server = start(save_workbench(tmp_path / "silent", example=False), pods.port, "127.0.0.9", "4")
    trial = Trial(KEY, analysis(interval="1s", replay=True), workload("4", "127.0.0.9"), None, NOW)

    async def story(analyst: Analyst) -> Any:
        await asyncio.to_thread(server.wait_ready)
        await analyst.measure(trial, NOW)
        await asyncio.sleep(0.5)
        return await analyst.measure(trial, NOW + timedelta(seconds=1))

    try:
        measured = run(pods.port, story)
    finally:
        server.process.kill()
        server.process.wait()
    assert measured.trouble == "replay: version 4 has no input example"


# Predictions


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, list[Any], list[Server]]]:
    folder, port = tmp_path_factory.mktemp("classifiers"), free_port()
    models = [save_iris(folder / "stable", 1.0), save_iris(folder / "candidate", 0.003)]
    servers = [start(folder / "stable", port, "127.0.0.2", "3"), start(folder / "candidate", port, "127.0.0.3", "4")]
    try:
        for server in servers:
            server.wait_ready()
        yield port, models, servers
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()


async def until_compared(analyst: Analyst, trial: Trial, inputs: list[bytes] | None) -> Comparison:
    """Ask as the operator does, again and again: what takes long is found out between two of its runs."""
    async with asyncio.timeout(60):
        while (compared := await analyst.compare_predictions(trial, inputs)) is None:
            await asyncio.sleep(0.05)
    return compared


def test_predictions_of_recorded_inputs_are_compared(classifiers: tuple[int, list[Any], list[Server]]) -> None:
    port, models, servers = classifiers
    features, _ = train.iris()
    different = sum(one != other for one, other in zip(*(model.predict(features) for model in models), strict=True))
    wanted = analysis(predictions={"maxDifferent": "5%"})
    trial = Trial(KEY, wanted, workload("4", servers[1]), workload("3", servers[0]), NOW)
    woken: list[Key] = []

    async def story() -> Comparison:
        analyst = Analyst(woken.append, port=port)
        compared = await until_compared(analyst, trial, rows_of_iris())
        for server in servers:
            before = predictions(server)
            assert await analyst.compare_predictions(trial, rows_of_iris()) == compared
            # What was found is kept.
            assert predictions(server) == before
        await analyst.close()
        return compared

    compared = asyncio.run(story())
    assert different > 7
    assert (compared.compared, compared.different, compared.trouble) == (150, different, None)
    assert wanted.predictions is not None
    verdict = compare(wanted.predictions, compared)
    assert verdict.verdict is Verdict.FAILED
    assert f"{different} of 150 predictions differ from stable's" in verdict.message
    assert re.search(r"above maxDifferent 5%: input \d+: [012] instead of [012]$", verdict.message)


def compare_once(port: int, trial: Trial, inputs: list[bytes] | None) -> Comparison:
    compared = run(port, lambda analyst: until_compared(analyst, trial, inputs))
    assert isinstance(compared, Comparison)
    return compared


def test_the_input_example_is_compared_where_nothing_is_recorded(
    classifiers: tuple[int, list[Any], list[Server]],
) -> None:
    port, _, servers = classifiers
    trial = Trial(KEY, analysis(predictions={}), workload("4", servers[1]), workload("3", servers[0]), NOW)
    assert compare_once(port, trial, None) == Comparison(3, 0)


def test_what_stable_refuses_is_passed_over(classifiers: tuple[int, list[Any], list[Server]]) -> None:
    port, _, servers = classifiers
    broken, fine = b'{"inputs": {"no_such_column": [1]}}', rows_of_iris()[0]
    trial = Trial(KEY, analysis(predictions={}), workload("4", servers[1]), workload("3", servers[0]), NOW)
    assert compare_once(port, trial, [broken, fine]) == Comparison(10, 0)
    expected = "stable answers none of 1 inputs with status 200"
    assert compare_once(port, trial, [broken]).trouble == expected


def test_what_only_the_candidate_refuses_differs(pods: Pods) -> None:
    """Stable's process takes bodies of any size here, the candidate's none that is as large."""
    body = json.dumps({"inputs": {"x": [1.0] * 2000}}).encode()
    small = start(pods.stable.model_dir, pods.port, "127.0.0.9", "4", MODELVANE_MAX_BODY_BYTES="1000").wait_ready()
    trial = Trial(KEY, analysis(predictions={}), workload("4", small), workload("3", pods.stable), NOW)
    try:
        compared = compare_once(pods.port, trial, [body])
    finally:
        small.process.kill()
        small.process.wait()
    assert compared == Comparison(2000, 2000, "input 1: status 413 instead of 200")


def test_a_candidate_that_is_gone_is_trouble_and_no_difference(
    classifiers: tuple[int, list[Any], list[Server]],
) -> None:
    port, _, servers = classifiers
    trial = Trial(KEY, analysis(predictions={}), workload("4", "127.0.0.8"), workload("3", servers[0]), NOW)
    compared = compare_once(port, trial, rows_of_iris()[:1])
    assert compared == Comparison(0, 0, None, "input 1: no connection (Connection refused)")
    assert compare(Predictions(), compared).verdict is Verdict.INCONCLUSIVE
