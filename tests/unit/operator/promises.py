"""What the engine must never do, checked after every single write: the operator may be killed between any two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelvane.engine.state import Split, Traffic

if TYPE_CHECKING:
    from tests.unit.operator.simulator import World


class BrokenPromiseError(AssertionError):
    """The engine did what it must never do."""


def check_write(world: World, ready_of_stable: int, answering: int) -> None:
    """Hold the cluster as it is after a write against the promises.

    Before it stable had so many ready pods, and so many of any version answered.
    """
    needed = min(world.spec["replicas"], ready_of_stable)
    if not world.is_removed() and world.answering() < needed:
        raise BrokenPromiseError(f"{world.answering()} pods answer, {ready_of_stable} of stable were ready")
    if answering and world.spec["replicas"] and not world.is_removed() and not world.answering():
        raise BrokenPromiseError(f"nobody answers any more, and {answering} pods did")
    if world.selected == Traffic(None):
        serving = {d.revision.name for d in world.deployments if d.pods}
        if len(serving) > 2:
            raise BrokenPromiseError(f"{len(serving)} revisions get traffic: {serving}")
    check_route(world)


def check_route(world: World) -> None:
    """See that the route leads somewhere: a gateway answers with an error for a Service that does not exist."""
    if world.route is None:
        return
    named = {revision for revision, _ in (*world.route.weights, *filter(None, (world.route.mirror,)))}
    if named - world.backends:
        raise BrokenPromiseError(f"the route names Services that do not exist: {named - world.backends}")
    if len(named) > 2:
        raise BrokenPromiseError(f"{len(named)} revisions get traffic: {named}")


def check_run(world: World) -> None:
    """Hold the cluster as it is after a whole run against the promises: the run has seen all that there was to see."""
    if world.frozen() or world.is_removed():
        return
    stable, candidate = world.ready_of("stable"), world.ready_of("candidate")
    revision = world.selected.revision if world.selected else None
    if revision is not None and not world.ready(revision) and stable + candidate:
        raise BrokenPromiseError(f"the Service selects {revision} without a ready pod, and others are ready")
    if world.route is not None and world.spec.get("gateway"):
        check_split(world, world.route, min(world.spec["replicas"], stable))


def check_split(world: World, split: Split, needed: int) -> None:
    """See that every weight has the pods that carry it."""
    behind = sum(world.ready(revision) for revision, _ in split.weights)
    if behind < needed:
        raise BrokenPromiseError(f"{behind} pods are behind the route, {needed} are needed")
    for revision, weight in split.weights:
        if 100 * world.ready(revision) < needed * weight:
            raise BrokenPromiseError(f"{revision} has {world.ready(revision)} ready pods for {weight}% of {needed}")


def rest(world: World) -> None:
    """Let time pass without any input, and see that nothing is left to do then but to look at the traffic."""
    world.wait(400)  # longer than all delays there are, one after the other
    before = _sight(world)
    world.wait(70)
    if _sight(world) != before:
        raise BrokenPromiseError("no rest: " + "\n".join(world.story[-20:]))
    candidate = world.status.get("candidate")
    # A candidate that failed is kept while stable has no ready pod.
    if candidate and not candidate.get("paused") and not world.frozen() and world.status["phase"] != "Degraded":
        raise BrokenPromiseError(f"it waits for nobody: {candidate}\n" + "\n".join(world.story[-20:]))


def _sight(world: World) -> object:
    candidate = {key: value for key, value in world.status.get("candidate", {}).items() if key != "analysis"}
    return {**world.status, "candidate": candidate}, world.selected, world.route, [d.uid for d in world.deployments]


def check_end(world: World) -> None:
    """See that what is served at the end is what was asked for, as far as it is any good."""
    stable, wanted = world.status.get("stable"), world.spec["replicas"]
    if world.pointer is None or not wanted or not stable:
        return
    rejected = {entry["version"] for entry in world.status.get("rejected", [])}
    alive = world.natures[stable["version"]] != "dies"
    if alive and stable["version"] != world.pointer and world.pointer not in rejected:
        raise BrokenPromiseError(f"version {world.pointer} is wanted, {stable['version']} is served")
    if world.natures[stable["version"]] in ("broken", "hangs"):
        raise BrokenPromiseError(f"version {stable['version']} cannot serve and is stable")
    if not alive:
        return
    if world.answering() < wanted:
        raise BrokenPromiseError(f"{world.answering()} of {wanted} pods answer")
    if world.selected != Traffic(stable["revision"]):
        raise BrokenPromiseError(f"the Service selects {world.selected}, {stable['revision']} is stable")
    expected = Split(((stable["revision"], 100),)) if world.spec.get("gateway") else None
    if world.route != expected:
        raise BrokenPromiseError(f"the route is {world.route} instead of {expected}")
    if len(world.deployments) != 1:
        raise BrokenPromiseError(f"{[d.revision.name for d in world.deployments]} are left")
