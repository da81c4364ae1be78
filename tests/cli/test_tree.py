"""The tree as its reader sees it, word for word and line by line."""

import io
from datetime import datetime

import pytest
from modelvane_cli import tree
from modelvane_cli.screen import plain_lines
from modelvane_cli.seen import Seen
from rich.console import Console

from tests.cli.scenes import BROKEN, at_rest, canary, candidate, event, resource, seen, stalled
from tests.unit.operator.builder import NOW, a_deployment


def lines(shown: Seen, width: int = 120, *, ascii_only: bool = False, now: datetime = NOW) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    return list(plain_lines(console, tree.draw(shown, now, ascii_only=ascii_only)))


def test_at_rest_it_is_short() -> None:
    assert lines(seen(at_rest(), event(3600, "Promoted", "serving version 3, in place of version 2"))) == [
        "iris  Ready  namespace ml",
        "models:/iris/Production → version 3 · http://iris.ml.svc",
        "├── stable     version 3 · 100 % of the traffic · 2 of 2 pods ready · for 60m  v3-aaaaaaaa",
        "│   ├── ✓ iris-v3-aaaaaaaa-5f6c0  ready for 60s",
        "│   └── ✓ iris-v3-aaaaaaaa-5f6c1  ready for 60s",
        "├── conditions",
        "│   ├── ✓ serves as wanted  Serving: serving version 3 with 2 of 2 pods",
        "│   ├── ✓ the registry answers  Reachable: ModelRegistry default answers",
        "│   └── ✓ the pointer leads to a version  Resolved: models:/iris/Production is version 3",
        "└── events",
        "    └──   60m  Promoted  serving version 3, in place of version 2",
    ]


def test_a_canary_shows_step_figures_predictions_and_both_sides() -> None:
    shown = lines(seen(canary()), 200)
    start = next(number for number, line in enumerate(shown) if line.startswith("├── candidate"))
    assert shown[0] == "iris  Progressing  namespace ml"
    assert shown[start : start + 9] == [
        "├── candidate  version 4 · 25 % of the traffic · 1 of 1 pod ready · for 6m52s  v4-aaaaaaaa",
        "│   ├── ━━━━━━━━────────────────  step 2 of 4: weight 25 for 5m, 3m12s left",
        "│   ├── analysis  passed 4s ago, 1 check failed so far: error rate 0.243% is within maxErrorRate 1% (1 of 412 "
        "requests; stable 0.0777%); query conversion is 0.31",
        "│   │              requests   errors     p50     p95     p99",
        "│   │   candidate       412   0.243%  3.58ms     5ms  19.8ms",
        "│   │   stable         1287  0.0777%  3.52ms  4.88ms  6.77ms",
        "│   │   conversion: 0.31",
        "│   ├── predictions  3 of 200 predictions differ from stable's (1.5%), within maxDifferent 5%: input 17",
        "│   └── ✓ iris-v4-aaaaaaaa-5f6c0  ready for 60s",
    ]


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100])
def test_nothing_is_lost_and_nothing_runs_over_in_a_narrow_terminal(width: int) -> None:
    shown = lines(seen(canary().keeping_warm("2"), event(4, "StepReached", "weight 25")), width)
    assert max(map(len, shown)) <= width
    together = "".join(line.replace("│", "").strip() for line in shown).replace(" ", "")
    for word in ("iris-v3-aaaaaaaa-5f6c3", "1287", "3m12sleft", "StepReached", "3of200", "19.8ms"):
        assert word in together


def test_a_terminal_that_knows_only_ascii_gets_only_ascii() -> None:
    console = Console(width=100, file=io.TextIOWrapper(io.BytesIO(), "ascii"), highlight=False)
    assert console.options.ascii_only
    shown = "\n".join(plain_lines(console, tree.draw(seen(canary()), NOW, ascii_only=True)))
    assert shown.isascii()
    assert "+ iris-v3-aaaaaaaa-5f6c0" in shown


def test_no_colour_reaches_a_pipe() -> None:
    assert not any("\x1b" in line for line in lines(seen(canary())))


def test_a_failing_pod_says_why_in_its_own_words() -> None:
    shown = lines(seen(at_rest().wants("4").rolling("4", failure=BROKEN)))
    assert "│   └── ✗ iris-v4-aaaaaaaa-5f6c0  ModelLoadFailed: no module named xgboost" in shown


def test_a_rejected_version_is_told_with_what_to_do() -> None:
    shown = lines(seen(stalled(), decided=True))
    assert "Degraded" in shown[0]
    assert shown[2].startswith(
        "Mend it and promote a new version; or try the same one again:  modelvane retry iris -n ml"
    )
    assert "├── rejected  version 4, 60m ago: ModelLoadFailed: it raised" in shown
    assert any("✗ it needs help" in line for line in shown)


@pytest.mark.parametrize("reason", ["InvalidSpec", "NameTaken", "RouteRefused"])
def test_what_no_version_is_to_blame_for_is_not_mended_by_another_version(reason: str) -> None:
    shown = resource(stalled())
    shown["status"]["conditions"].append({"type": "Stalled", "status": "True", "reason": reason, "message": "why"})
    assert lines(Seen(shown), 150)[2] == (
        "Correct what the message of the condition names; the operator tries again by itself. More about it:  "
        "modelvane doctor iris -n ml"
    )


@pytest.mark.parametrize(
    ("paused", "says"),
    [
        ("Step", "It waits for you: go on with  modelvane resume iris -n ml"),
        ("Request", "You asked it to pause: go on with  modelvane resume iris -n ml"),
        ("Inconclusive", "There were too few requests to judge it."),
    ],
)
def test_a_pause_says_who_is_waited_for(paused: str, says: str) -> None:
    shown = lines(seen(candidate(canary(), paused=paused)))
    assert shown[0] == "iris  Paused  namespace ml"
    assert shown[2].startswith(says)
    assert not any("left" in line for line in shown), "nothing but a person ends a pause"


def test_a_warm_revision_says_how_long_it_stays() -> None:
    shown = lines(seen(at_rest().keeping_warm("2")))
    assert "├── warm       version 2 · kept for a quick way back, 20s left  v2-aaaaaaaa" in shown


def test_a_resource_that_no_operator_has_seen_says_so() -> None:
    bare = Seen({key: value for key, value in resource(a_deployment()).items() if key != "status"})
    assert lines(bare) == [
        "iris  not seen by the operator  namespace ml",
        "models:/iris/Production",
        "The operator has not seen it yet. If that lasts: modelvane doctor iris -n ml",
    ]


def test_a_status_about_an_older_spec_is_marked() -> None:
    shown = resource(at_rest())
    shown["metadata"]["generation"] = 2
    assert lines(Seen(shown))[2] == "The spec has changed since this status was written."


def test_a_log_has_one_line_for_the_state() -> None:
    assert tree.line(seen(canary())) == (
        "Progressing · stable 3 75 % 4/4 · candidate 4 25 % 1/1 · RollingOut: rolling out version 4"
    )
