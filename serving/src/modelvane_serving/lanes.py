"""Who runs when: requests wait in a lane, and whoever is idle takes what waits.

There is no timer that collects a batch, so an idle server adds nothing to a request; a busy one finds the next batch
already there. A model whose rows are independent has its waiting requests answered by one call (`BatchLane`), on the
event loop itself when that is shorter than handing it to a thread and back. Any other model is called for each request
in threads (`CallLane`), several of them when it is slow, because then it may be waiting for something.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from modelvane_serving.errors import ApiError
from modelvane_serving.model import Job

_log = logging.getLogger(__name__)

# How long the event loop may be held by a prediction: less than what handing it over and back costs others.
INLINE_SECONDS: Final = 0.0015
# A call is short if many of them fit into what nobody notices; then one thread takes several at a time.
SHORT_SECONDS: Final = 0.001
# A short call that takes this long is waiting for something: the others go on in another thread.
STUCK_SECONDS: Final = 0.005
SMOOTHING: Final = 0.2
# Of the time that may wait: what is left of it while the queue does not empty. A burst may fill it, because it ends; a
# load beyond capacity does not, and all that a long queue does for it is to make every answer late.
STANDING: Final = 0.2
# So many may be clients that each wait for their answer before they ask again, which is no load beyond capacity.
FEW: Final = 100

Run = Callable[[Sequence[Job]], None]


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What may wait, and how long a request may take in all (seconds)."""

    waiting: int
    queue_seconds: float
    request_seconds: float


Tell = Callable[[ApiError | None], None]


@dataclass(slots=True, eq=False)
class Waiting:
    """A job, and whom to tell of its end: nobody once that was done."""

    job: Job
    tell: Tell | None
    deadline: float

    def settle(self, error: ApiError | None = None) -> None:
        """Tell, once, that the job has its outcome, or why it has none."""
        if self.tell is None:
            return
        tell, self.tell = self.tell, None
        try:
            tell(error)
        except Exception as failure:
            # Others wait for theirs: those of the batch, and whose time is up as well.
            _log.error("an answer was not delivered", extra={"fields": {"error": type(failure).__name__}})


class Lane(ABC):
    """The queue and the accounts that both kinds share."""

    def __init__(self, run: Run, admission: Admission, threads: int, on_batch: Callable[[int], None]) -> None:
        self._run = run
        self._admission = admission
        self._threads = threads
        self._on_batch = on_batch
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._waiting: deque[Waiting] = deque()
        # Those without an answer, in the order of their deadlines.
        self._open: dict[Waiting, None] = {}
        self._busy = 0
        self._scheduled = False
        self._sweeping = False
        # Of one request, smoothed; before the first it is not known.
        self.seconds = 0.0
        # When a request last found nobody waiting.
        self._emptied = 0.0

    @property
    def depth(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def answer(self, job: Job) -> None:
        """Wait until the job has its outcome. Raises ApiError as `submit`, and 504 when it took too long."""
        future = asyncio.get_running_loop().create_future()

        def tell(error: ApiError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.submit(job, tell)
        await future

    def submit(self, job: Job, tell: Tell) -> None:
        """Have the job run, and tell when it has its outcome, or that it took too long, never before this returns.

        Raises ApiError 429 when too many wait.
        """
        self.admit()
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._waiting:
            self._emptied = now
        entry = Waiting(job, tell, now + self._admission.request_seconds)
        self._waiting.append(entry)
        self._open[entry] = None
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(1.0, self._sweep)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch)

    def admit(self) -> None:
        """Raise ApiError 429 when too many wait. Asked before a body is parsed, which can cost as much as a model."""
        seconds = self.try_again_in()
        if seconds is not None:
            raise too_many(seconds)

    def try_again_in(self) -> int | None:
        """Return after how many seconds one more may wait, or None if it may now."""
        waiting = len(self._waiting)
        if waiting < self._threads:
            return None
        expected = waiting * self.seconds / self._parallel()
        patience = self._admission.queue_seconds
        full = waiting >= self._admission.waiting or expected > patience
        if full or (waiting >= FEW and expected > STANDING * patience and self._is_standing()):
            return max(1, round(expected))
        return None

    def _is_standing(self) -> bool:
        """Tell whether the queue has not been empty for as long as anything may wait."""
        return asyncio.get_running_loop().time() - self._emptied > self._admission.queue_seconds

    def _parallel(self) -> int:
        return 1

    @abstractmethod
    def _dispatch(self) -> None:
        """Start what can be started."""

    def _hand_over(self, batch: list[Waiting]) -> None:
        self._busy += 1
        loop = asyncio.get_running_loop()

        def work() -> None:
            started = time.perf_counter()
            try:
                self._run([entry.job for entry in batch])
            finally:
                loop.call_soon_threadsafe(self._finish, batch, time.perf_counter() - started)

        self._pool.submit(work)

    def _finish(self, batch: list[Waiting], seconds: float) -> None:
        self._busy -= 1
        self._settle(batch, seconds)
        if self._waiting:
            self._dispatch()

    def _settle(self, batch: list[Waiting], seconds: float) -> None:
        each = seconds / len(batch)
        self.seconds += SMOOTHING * (each - self.seconds) if self.seconds else each
        for entry in batch:
            self._open.pop(entry, None)
            entry.settle()

    def _sweep(self) -> None:
        """Once a second: tell those whose time is up. What runs for them goes on, there is no way to stop it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        message = f"there was no answer within {self._admission.request_seconds:g} s"
        for entry in list(takewhile(lambda entry: entry.deadline <= now, self._open)):
            del self._open[entry]
            entry.settle(ApiError(504, "DeadlineExceeded", message))
        if self._open:
            loop.call_later(1.0, self._sweep)
        else:
            self._sweeping = False

    def _next(self) -> Waiting | None:
        """Take the first that still waits for its answer."""
        while self._waiting:
            entry = self._waiting.popleft()
            if entry.tell is not None:
                return entry
        return None


def too_many(seconds: int) -> ApiError:
    """Build the answer to a request that may not wait."""
    message = f"more requests wait than can be answered soon: try again in {seconds} s"
    return ApiError(429, "TooManyRequests", message, retry_after=seconds)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a batch takes, as measured when the model was loaded: seconds, and seconds for each row."""

    fixed: float
    row: float

    def of(self, rows: int) -> float:
        """Return the expected seconds of a batch."""
        return self.fixed + rows * self.row


@dataclass(frozen=True, kw_only=True)
class BatchSize:
    """How many rows one call may have at most, and what they cost."""

    rows: int
    cost: Cost


class BatchLane(Lane):
    """One batch at a time, of all that waits, up to a number of rows."""

    def __init__(self, run: Run, admission: Admission, size: BatchSize, on_batch: Callable[[int], None]) -> None:
        super().__init__(run, admission, 1, on_batch)
        self._size = size

    def _dispatch(self) -> None:
        self._scheduled = False
        if self._busy:
            return
        batch, rows = self._take()
        if not batch:
            return
        self._on_batch(rows)
        if self._size.cost.of(rows) > INLINE_SECONDS:
            self._hand_over(batch)
            return
        started = time.perf_counter()
        self._run([entry.job for entry in batch])
        self._settle(batch, time.perf_counter() - started)
        if self._waiting:
            # After what has arrived meanwhile has been read: it may go along.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _take(self) -> tuple[list[Waiting], int]:
        batch: list[Waiting] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0].job.rows <= self._size.rows):
            entry = self._next()
            if entry is not None:
                batch.append(entry)
                rows += entry.job.rows
        return batch, rows


class CallLane(Lane):
    """A call for each request, in threads."""

    def _parallel(self) -> int:
        return 1 if self._is_short() else self._threads

    def _is_short(self) -> bool:
        return 0 < self.seconds < SHORT_SECONDS

    def _dispatch(self) -> None:
        self._scheduled = False
        limit = self._parallel()
        if self._busy >= limit and self._waiting:
            if limit < self._threads:
                asyncio.get_running_loop().call_later(STUCK_SECONDS, self._relieve, self._busy)
            return
        while self._waiting and self._busy < limit:
            self._start()

    def _relieve(self, busy: int) -> None:
        """Start another thread if nothing has moved since."""
        if self._waiting and self._busy >= busy and self._busy < self._threads:
            self._start()

    def _start(self) -> None:
        share = int(SHORT_SECONDS / self.seconds) if self._is_short() else 1
        batch: list[Waiting] = []
        while len(batch) < share:
            entry = self._next()
            if entry is None:
                break
            batch.append(entry)
        if batch:
            for entry in batch:
                self._on_batch(entry.job.rows)
            self._hand_over(batch)


def measure_cost(run: Callable[[int], None], rows: int = 64) -> Cost:
    """Time the model with one row and with many; the best of a few, because the first ones warm it up."""

    def best(count: int) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            run(count)
            times.append(time.perf_counter() - started)
        return min(times)

    one, many = best(1), best(rows)
    row = max(0.0, (many - one) / (rows - 1))
    return Cost(fixed=max(0.0, one - row), row=row)
