"""Who gets which requests: the Service's selector, the HTTPRoute's weights, and what the status says of them."""

import pytest
from modelvane.cluster.manifests import build_route
from modelvane.engine.state import Live, Observed, Plan, Revision, Split, Traffic
from modelvane.engine.traffic import all_to, only_for_stable, routed, shift, unroute

from tests.unit.operator.builder import Builder, a_deployment, revision, workload

STABLE, CANDIDATE, OTHER = revision("1"), revision("2"), revision("3")
GATEWAY = {"parentRefs": [{"name": "edge"}]}


def rolling(stable: int, candidate: int, *, others: bool = False) -> Builder:
    builder = a_deployment().wants("2").serving("1", ready=stable).rolling("2", replicas=2, ready=candidate)
    return builder.besides(workload("3", ready=1)) if others else builder


def behind(builder: Builder, *backends: str, route: Split | None = None) -> Observed:
    """Put it behind a gateway."""
    o = builder.with_spec(gateway=GATEWAY).observed()
    assert o.spec.gateway is not None
    live = build_route(o, o.spec.gateway, route) if route else None
    return builder.but(live=Live(route=live, backends={name: {} for name in backends})).observed()


# Ready pods of stable and of the candidate, whether a third revision has pods, the weight that is asked for.
SERVICE = """
stable candidate others asked   selects    weight
2      0         no     0       stable     0
2      0         no     50      stable     0
2      0         no     100     stable     0
2      1         no     0       stable     0
2      1         no     50      both       33
2      2         no     10      both       50
2      2         no     100     candidate  100
2      2         yes    50      stable     0
2      2         yes    100     candidate  100
0      1         no     0       both       100
0      1         no     50      both       100
0      1         yes    0       candidate  100
0      0         no     50      stable     0
"""


@pytest.mark.parametrize("row", SERVICE.strip().splitlines()[1:])
def test_the_service_selects_one_revision_or_both(row: str) -> None:
    stable, candidate, others, asked, selects, weight = row.split()
    o = rolling(int(stable), int(candidate), others=others == "yes").observed()
    shifted = shift(o, STABLE, CANDIDATE, int(asked), None)
    wanted = {"stable": Traffic(STABLE), "candidate": Traffic(CANDIDATE), "both": Traffic(None)}[selects]
    assert (shifted.traffic, shifted.split, shifted.weight) == (wanted, None, int(weight))


ROUTE = """
stable candidate others asked   route      weight
2      0         no     50      100:0      0
2      1         no     0       100:0      0
2      1         no     10      90:10      10
2      2         no     100     0:100      100
2      2         yes    50      50:50      50
0      1         no     0       0:100      100
0      1         no     10      0:100      100
0      0         no     10      100:0      0
"""


@pytest.mark.parametrize("row", ROUTE.strip().splitlines()[1:])
def test_the_route_has_the_weight_that_is_asked_for(row: str) -> None:
    stable, candidate, others, asked, route, weight = row.split()
    o = behind(rolling(int(stable), int(candidate), others=others == "yes"), STABLE, CANDIDATE, OTHER)
    shifted = shift(o, STABLE, CANDIDATE, int(asked), None)
    shares = zip((STABLE, CANDIDATE), map(int, route.split(":")), strict=True)
    assert shifted.split == Split(tuple((name, share) for name, share in shares if share))
    assert shifted.weight == int(weight)


def test_the_route_never_names_a_service_that_is_not_there() -> None:
    standing = Split(((STABLE, 100),))
    assert shift(behind(rolling(2, 2), STABLE, route=standing), STABLE, CANDIDATE, 50, None).split == standing
    assert shift(behind(rolling(2, 2), STABLE, route=standing), STABLE, CANDIDATE, 50, None).weight == 0
    assert shift(behind(rolling(2, 2), CANDIDATE), STABLE, CANDIDATE, 50, None).split is None
    assert all_to(behind(rolling(2, 2)), STABLE) is None


def test_until_there_is_a_route_the_weight_is_that_of_the_service() -> None:
    assert shift(behind(rolling(2, 2), STABLE), STABLE, CANDIDATE, 50, None).weight == 50


def test_the_first_version_has_the_route_but_no_weight_before_it_is_ready() -> None:
    builder = a_deployment().wants("2").rolling("2", replicas=2)
    shifted = shift(behind(builder, CANDIDATE), None, CANDIDATE, 100, None)
    assert (shifted.traffic, shifted.split, shifted.weight) == (Traffic(CANDIDATE), Split(((CANDIDATE, 100),)), 0)


@pytest.mark.parametrize(("ready", "mirror"), [(0, None), (1, (CANDIDATE, 20))])
def test_copies_go_to_a_candidate_that_is_ready(ready: int, mirror: tuple[str, int] | None) -> None:
    shifted = shift(behind(rolling(2, ready), STABLE, CANDIDATE), STABLE, CANDIDATE, 0, 20)
    assert shifted.split == Split(((STABLE, 100),), mirror)


def test_a_candidate_that_answers_in_stables_place_gets_no_copies_of_its_own_requests() -> None:
    shifted = shift(behind(rolling(0, 1), STABLE, CANDIDATE), STABLE, CANDIDATE, 0, 20)
    assert shifted.split == Split(((CANDIDATE, 100),))


def test_the_route_is_read_back() -> None:
    split = Split(((STABLE, 100),), (CANDIDATE, 20))
    assert routed(behind(rolling(2, 1), STABLE, CANDIDATE, route=split)) == {STABLE: 100, CANDIDATE: 0}
    assert routed(rolling(2, 1).observed()) == {}
    assert routed(rolling(2, 1).but(live=Live(route={"spec": {"rules": [{}]}})).observed()) == {}


def test_a_route_goes_when_what_it_names_goes() -> None:
    o = behind(rolling(2, 1), STABLE, CANDIDATE, route=Split(((STABLE, 100),), (CANDIDATE, 20)))
    assert unroute(o, ()) is None
    assert unroute(o, (workload("3"),)) is None
    assert unroute(o, (workload("1"),)) == unroute(o, (workload("2"),)) == Split(())


def test_while_the_traffic_cannot_be_moved_stable_is_kept_whole_and_nothing_else_is_done() -> None:
    o = rolling(2, 1).observed()
    stable, candidate = o.workloads
    made = ((Revision("1", "aaaaaaaa"), 4), (Revision("2", "aaaaaaaa"), 1))
    plan = Plan(o.memory, create=made, scale=((stable, 4), (candidate, 2)), delete=o.workloads)
    assert only_for_stable(o, plan) == Plan(o.memory, create=made[:1], scale=((stable, 4),))
