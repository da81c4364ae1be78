"""Measures a rollout under traffic, for the reconcile loop: it asks pods and Prometheus and never decides.

What it knows lives in memory. After a start of the operator the first reading is where counting begins again, so
nothing is ever judged on what was not seen.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelvane.analysis import prometheus
from modelvane.analysis.comparison import compare_revisions
from modelvane.analysis.exposition import read_figures
from modelvane.analysis.figures import Comparison, Figures, Measurement, Reading
from modelvane.analysis.pods import SERVING_PORT, NoAnswerError, Pods
from modelvane.analysis.replay import Replay
from modelvane.engine.state import Key, Pod, Workload
from modelvane.spec import Analysis
from modelvane.units import format_duration

logger = logging.getLogger(__name__)

LOOK_TIMEOUT = 2.0
EARLIEST = 0.8
"""Part of an interval. A run that comes a moment too soon still looks: the next may come a whole interval later."""
COMPARE_WAIT = 1.0
COMPARE_AGAIN = 10.0
"""Seconds after which a comparison that ran into trouble is made once more."""


@dataclass(frozen=True)
class Trial:
    """A candidate that shares the traffic with stable, and what is asked of it."""

    key: Key
    analysis: Analysis
    candidate: Workload
    stable: Workload | None
    start: datetime
    """When the step began, or when it was last checked with a conclusion."""

    @property
    def revisions(self) -> tuple[str, str | None]:
        """Name both."""
        return self.candidate.revision, self.stable.revision if self.stable else None


Look = tuple[Reading, str | None]


@dataclass(frozen=True)
class _Window:
    """What was counted for two revisions since a moment, and the last readings of their pods."""

    revisions: tuple[str, str | None]
    start: datetime
    since: datetime
    candidate: Reading
    stable: Reading
    seen: tuple[Figures, Figures] = (Figures(), Figures())

    @property
    def at(self) -> datetime:
        return self.candidate.at


@dataclass
class _Run:
    """A comparison of predictions, running or done."""

    what: tuple[object, ...]
    task: asyncio.Task[Comparison]
    done_at: float | None = None

    @property
    def result(self) -> Comparison:
        error = self.task.exception()
        return Comparison(0, 0, trouble=f"the comparison ended with {error!r}") if error else self.task.result()

    def is_worth_another(self, now: float) -> bool:
        return self.done_at is not None and now - self.done_at >= COMPARE_AGAIN and self.result.trouble is not None


class Analyst:
    """Remembers what it saw of each rollout. One key is measured by one run at a time."""

    def __init__(self, wake: Callable[[Key], None], port: int = SERVING_PORT) -> None:
        self._wake = wake
        self._pods = Pods(port)
        self._replay = Replay(self._pods)
        self._windows: dict[Key, _Window] = {}
        self._runs: dict[Key, _Run] = {}

    async def measure(self, trial: Trial, now: datetime) -> Measurement | None:
        """Return what both revisions did since `trial.start`, when it is time to look; None when nothing is new.

        A window goes on growing until `start` moves on, so a quiet service is judged once enough requests have come.
        """
        try:
            return await self._measure(trial, now)
        except Exception:
            # Whatever a pod or a Prometheus says, its ModelDeployment must be served on.
            logger.exception("%s: the rollout cannot be measured", trial.key)
            return None

    async def _measure(self, trial: Trial, now: datetime) -> Measurement | None:
        window = self._windows.get(trial.key)
        if window is None or window.revisions != trial.revisions or trial.start > max(window.start, window.at):
            (ours, _), (theirs, _) = await self._look_at(trial, now)
            self._windows[trial.key] = _Window(trial.revisions, trial.start, now, ours, theirs)
            self._fill_up(trial, trial.analysis.interval, (Figures(), Figures()))
            return None
        if trial.start > window.start:
            window = replace(window, start=trial.start, since=window.at, seen=(Figures(), Figures()))
            self._windows[trial.key] = window
        if now - window.at < trial.analysis.interval * EARLIEST:
            return None
        looks, (values, complaint) = await asyncio.gather(self._look_at(trial, now), self._ask(trial))
        (ours, trouble), (theirs, _) = looks
        ours, more = window.candidate.then(ours, _ready_since(trial.candidate))
        theirs, more_stable = window.stable.then(theirs, _ready_since(trial.stable))
        seen = (window.seen[0] + more, window.seen[1] + more_stable)
        self._windows[trial.key] = replace(window, candidate=ours, stable=theirs, seen=seen)
        self._fill_up(trial, now - window.at, (more, more_stable))
        if seen[0].requests < trial.analysis.min_requests:
            trouble = trouble or self._replay.trouble(trial.key, trial.candidate.revision)
        troubles = [text for text in (trouble, complaint) if text]
        return Measurement(window.since, now, *seen, values, "; ".join(troubles) or None)

    async def compare_predictions(self, trial: Trial, inputs: Sequence[bytes] | None) -> Comparison | None:
        """Return how the predictions of both compare, or None while that is still being found out.

        The key is woken when it is known. What was found is kept, so it may be asked for in every run.
        """
        if trial.stable is None or trial.analysis.predictions is None:
            return None
        loop, tolerance = asyncio.get_running_loop(), trial.analysis.predictions.tolerance
        what = (trial.revisions, tolerance, None if inputs is None else tuple(inputs))
        run = self._runs.get(trial.key)
        if run is None or run.what != what or run.is_worth_another(loop.time()):
            self._drop_run(trial.key)
            work = compare_revisions(self._pods, trial.candidate, trial.stable, inputs, tolerance)
            run = _Run(what, asyncio.create_task(work, name=f"compare {trial.key}"))
            self._runs[trial.key] = run
            await asyncio.wait({run.task}, timeout=COMPARE_WAIT)
            if not run.task.done():
                run.task.add_done_callback(lambda _: self._wake(trial.key))
        if not run.task.done():
            return None
        run.done_at = run.done_at or loop.time()
        return run.result

    def forget(self, key: Key) -> None:
        """Drop what is known of a rollout that is over, and send nothing more for it."""
        self._windows.pop(key, None)
        self._replay.forget(key)
        self._drop_run(key)

    async def close(self) -> None:
        """Send nothing more and close the connections."""
        for key in {*self._windows, *self._runs}:
            self.forget(key)
        await self._pods.close()

    async def _ask(self, trial: Trial) -> tuple[dict[str, float | None], str | None]:
        if trial.analysis.prometheus is None:
            return {}, None
        variables = {
            "namespace": trial.key.namespace,
            "name": trial.key.name,
            "candidate": trial.candidate.revision,
            "stable": trial.stable.revision if trial.stable else "",
            "interval": format_duration(trial.analysis.interval),
        }
        return await prometheus.ask(self._pods.session, trial.analysis.prometheus, variables)

    async def _look_at(self, trial: Trial, now: datetime) -> tuple[Look, Look]:
        return await asyncio.gather(self._look(trial.candidate, now), self._look(trial.stable, now))

    async def _look(self, workload: Workload | None, now: datetime) -> Look:
        """Read the metrics of all ready pods. One that does not answer is left out; it is named if none does."""
        ready = [pod for pod in workload.pods if pod.ready_since is not None and pod.ip] if workload else []
        looks = await asyncio.gather(*(self._read(pod) for pod in ready))
        reading = Reading(
            now, {_process(pod): look for pod, look in zip(ready, looks, strict=True) if not isinstance(look, str)}
        )
        if workload is None or reading.pods:
            return reading, None
        if not ready:
            return reading, f"version {workload.version} has no ready pod"
        pods = "; ".join(f"{pod.name}: {look}" for pod, look in zip(ready[:3], looks, strict=False))
        return reading, f"no pod of version {workload.version} shows its metrics: {pods}"

    async def _read(self, pod: Pod) -> Figures | str:
        try:
            answer = await self._pods.get(pod, "/metrics", LOOK_TIMEOUT)
        except NoAnswerError as error:
            return str(error)
        if answer.status != 200:
            return f"status {answer.status} at /metrics"
        figures = read_figures(answer.body.decode(errors="replace"))
        return figures if figures is not None else "no metrics of the serving program"

    def _fill_up(self, trial: Trial, elapsed: timedelta, more: tuple[Figures, Figures]) -> None:
        """Let the input example make up for the requests that did not come by themselves."""
        if not trial.analysis.replay:
            return
        interval = trial.analysis.interval
        for workload, figures in zip((trial.candidate, trial.stable), more, strict=True):
            if workload is not None:
                came = figures.requests - self._replay.take_answered(trial.key, workload.revision)
                missing = trial.analysis.min_requests - came * (interval / elapsed)
                self._replay.renew(trial.key, workload, max(0, round(missing)), interval)

    def _drop_run(self, key: Key) -> None:
        run = self._runs.pop(key, None)
        if run is not None:
            run.task.cancel()


def _ready_since(workload: Workload | None) -> dict[str, datetime]:
    return {_process(pod): pod.ready_since for pod in workload.pods if pod.ready_since} if workload else {}


def _process(pod: Pod) -> str:
    """Name what counts: a container that restarts begins at 0 again, however far it has come by the next look."""
    return f"{pod.name} {pod.container}"
