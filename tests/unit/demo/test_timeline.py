from typing import Any

import pytest

from examples.demo.timeline import Share, shares, split
from examples.demo.traffic import Answers, Second, Traffic
from examples.demo.watch import Seen


def pod(name: str, version: str, *, fetch: dict[str, Any] | None = None, true: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"serving.modelvane.dev/model-version": version}},
        "status": {
            "conditions": [{"type": condition, "status": "True"} for condition in true],
            "initContainerStatuses": [{"state": fetch}] if fetch else [],
        },
    }


RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
FETCHED: dict[str, Any] = {"terminated": {"exitCode": 0}}


def test_every_second_between_promotion_and_first_answer_is_named() -> None:
    seen = [
        Seen(9.0, pod("old", "1", fetch=FETCHED, true=("PodScheduled", "Ready"))),
        Seen(11.0, pod("new", "2")),
        Seen(11.1, pod("new", "2", true=("PodScheduled",))),
        Seen(11.6, pod("new", "2", fetch=RUNNING, true=("PodScheduled",))),
        Seen(13.6, pod("new", "2", fetch=FETCHED, true=("PodScheduled",))),
        Seen(15.6, pod("new", "2", fetch=FETCHED, true=("PodScheduled", "Ready"))),
    ]
    stretches = split(10.0, seen, "2", 16.0)
    assert [round(stretch.seconds, 3) for stretch in stretches] == [1.0, 0.1, 0.5, 2.0, 2.0, 0.4]
    assert sum(stretch.seconds for stretch in stretches) == pytest.approx(6.0)


def test_only_the_pod_that_is_ready_first_counts() -> None:
    seen = [
        Seen(11.0, pod("slow", "2")),
        Seen(12.0, pod("fast", "2")),
        Seen(13.0, pod("fast", "2", true=("Ready",))),
        Seen(14.0, pod("slow", "2", true=("Ready",))),
    ]
    made, ready, traffic = split(10.0, seen, "2", 13.5)
    assert (made.seconds, ready.seconds, traffic.seconds) == (2.0, 1.0, 0.5)


def test_a_moment_that_was_not_seen_counts_to_the_next() -> None:
    seen = [Seen(11.0, pod("new", "2")), Seen(14.0, pod("new", "2", fetch=FETCHED, true=("PodScheduled", "Ready")))]
    stretches = split(10.0, seen, "2", 14.2)
    assert sum(stretch.seconds for stretch in stretches) == pytest.approx(4.2)
    assert all(stretch.seconds >= 0 for stretch in stretches)


def test_a_watch_that_lags_behind_the_traffic_makes_no_negative_stretch() -> None:
    seen = [Seen(11.0, pod("new", "2")), Seen(14.0, pod("new", "2", true=("Ready",)))]
    assert [stretch.seconds for stretch in split(10.0, seen, "2", 13.0)] == [1.0, 2.0, 0.0]


def test_the_shares_of_a_canary_are_counted_while_each_weight_was_in_effect() -> None:
    seconds = []
    for at in range(100, 120):
        ours = 33 if at < 110 else 50
        answers = {"3": Answers(100 - ours, at, at + 1), "4": Answers(ours, at, at + 1)}
        seconds.append(Second(float(at), answers, {}, 1.0, 2.0, done=False))
    statuses = [(100.0, {"version": "4", "weight": 0}), (101.0, {"version": "4", "weight": 33})]
    statuses += [(105.0, {"version": "4", "weight": 33}), (109.0, {"version": "4", "weight": 50}), (118.0, {})]
    deployments = [Seen(at, {"status": {"candidate": candidate}}) for at, candidate in statuses]
    assert shares(deployments, Traffic(seconds), "4") == [Share(33, 0.33, 700), Share(50, 0.5, 800)]
