from typing import Any

from examples.demo import view
from examples.demo.traffic import Answers, Second, Traffic

SHIFTING: dict[str, Any] = {
    "status": {
        "stable": {"version": "1", "replicas": 2, "readyReplicas": 2, "weight": 67},
        "candidate": {"version": "2", "replicas": 2, "readyReplicas": 1, "weight": 33},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Serving", "message": "version 1 serves"},
            {"type": "Reconciling", "status": "True", "reason": "Shifting", "message": "moving to version 2"},
        ],
    },
}


def second(**answers: int) -> Second:
    named = {version.removeprefix("v"): Answers(count, 1.0, 2.0) for version, count in answers.items()}
    return Second(2.0, named, {}, 4.0, 9.0, done=False)


def test_the_table_shows_each_version_with_its_share() -> None:
    now = second(v1=30, v2=90)
    rows = view.table(now, Traffic([now]), SHIFTING, 5.0)
    assert rows[1].split()[:7] == ["1", "stable", "2", "of", "2", "67%", "30"]
    assert rows[1].endswith("25%")
    assert rows[2].split()[:2] == ["2", "candidate"]
    assert rows[2].endswith("75%")
    assert rows[3] == "5 s after the promotion · 120 requests, 0 failed · p50 4 ms, p99 9 ms"
    assert view.what_goes_on(SHIFTING) == "Shifting: moving to version 2"


def test_the_line_says_the_same() -> None:
    now = second(v1=30, v2=90)
    said = view.line(now, Traffic([now]), SHIFTING, 5.0)
    assert said == "+ 5.0 s  v1  30/s (stable 67%) · v2  90/s (candidate 33%) · 0 failed"


def test_versions_are_in_the_order_of_their_numbers() -> None:
    now = second(v10=1, v9=1)
    rows = view.table(now, Traffic([now]), {}, 0.0)
    assert [row.split()[0] for row in rows[1:3]] == ["9", "10"]


def test_a_rejected_version_is_shown_as_such() -> None:
    deployment = {"status": {"stable": {"version": "2"}, "rejected": [{"version": "3", "reason": "ModelLoadFailed"}]}}
    assert "v3   0/s (rejected -)" in view.line(second(v2=5), Traffic([]), deployment, 1.0)
    assert view.rejection(deployment, "3") == {"version": "3", "reason": "ModelLoadFailed"}
    assert view.rejection(deployment, "2") is None


def test_a_version_serves_alone_only_without_a_candidate() -> None:
    assert view.serves_only({"status": {"stable": {"version": "2"}}}, "2")
    assert not view.serves_only(SHIFTING, "1")
    assert not view.serves_only({}, "1")
