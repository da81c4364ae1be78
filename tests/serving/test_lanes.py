"""Requests that wait: who is answered with whom, who is sent away, and that nobody waits for a timer."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from modelvane_serving.engines import Engine
from modelvane_serving.errors import ApiError
from modelvane_serving.formats.tables import Array, Table, plan_table
from modelvane_serving.lanes import Admission, BatchLane, BatchSize, CallLane, Cost
from modelvane_serving.messages import Response
from modelvane_serving.model import Job, Model
from modelvane_serving.signature import read_signature

ROOMY: Final = Admission(waiting=1000, queue_seconds=60, request_seconds=60)
QUICK: Final = Cost(fixed=0.0, row=0.0)
SLOW: Final = Cost(fixed=1.0, row=0.0)


def job(rows: int = 1) -> Job:
    return Job(encode=lambda _: Response(body=b""), table=Table(rows=rows, matrix=np.zeros((rows, 1))))


def answered(jobs: Sequence[Job]) -> None:
    for one in jobs:
        one.outcome = Response(body=b"ok")


class Recorder:
    """Runs jobs, and remembers in which batches they came. While `held`, it runs none."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.held = threading.Event()
        self.held.set()
        self.threads: set[str] = set()

    def __call__(self, jobs: Sequence[Job]) -> None:
        self.threads.add(threading.current_thread().name)
        self.batches.append(len(jobs))
        assert self.held.wait(30)
        answered(jobs)


def batch_lane(run: Recorder, cost: Cost = QUICK, rows: int = 1000, admission: Admission = ROOMY) -> BatchLane:
    return BatchLane(run, admission, BatchSize(rows=rows, cost=cost), lambda _rows: None)


def test_an_idle_server_answers_in_the_next_turn_of_the_loop() -> None:
    async def scenario() -> bool:
        lane, one = batch_lane(Recorder()), job()
        task = asyncio.create_task(lane.answer(one))
        # The task puts the job in line, then the lane takes it: no turn is spent waiting.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done = one.outcome is not None
        await task
        return done

    assert asyncio.run(scenario())


def test_a_quick_model_runs_on_the_loop_and_a_slow_one_does_not() -> None:
    async def scenario(cost: Cost) -> set[str]:
        run = Recorder()
        await batch_lane(run, cost).answer(job())
        return run.threads

    assert asyncio.run(scenario(QUICK)) == {"MainThread"}
    assert asyncio.run(scenario(SLOW)) == {"predict_0"}


def test_whoever_is_idle_takes_all_that_waits() -> None:
    async def scenario() -> list[int]:
        run = Recorder()
        run.held.clear()
        lane = batch_lane(run, SLOW)
        first = asyncio.create_task(lane.answer(job()))
        while not run.batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(lane.answer(job())) for _ in range(10)]
        await asyncio.sleep(0.01)
        run.held.set()
        await asyncio.gather(first, *rest)
        return run.batches

    assert asyncio.run(scenario()) == [1, 10]


def test_a_batch_has_a_largest_size_but_one_request_is_never_cut() -> None:
    async def scenario() -> list[int]:
        run = Recorder()
        lane = batch_lane(run, rows=10)
        await asyncio.gather(*(lane.answer(job(rows)) for rows in (4, 4, 4, 50, 1)))
        return run.batches

    assert asyncio.run(scenario()) == [2, 1, 1, 1]


def test_one_bad_row_does_not_fail_its_neighbours() -> None:
    def predict(table: Table) -> Array:
        assert table.matrix is not None
        if (table.matrix < 0).any():
            raise ValueError("no model takes negative numbers")
        return table.matrix[:, 0] * 2

    plan = plan_table(read_signature({"inputs": [{"name": "x", "type": "double"}]}))
    assert plan is not None
    model = object.__new__(Model)
    model.engine = Engine(name="native", predict=predict, plan=plan, row_wise=True)
    jobs = [
        Job(lambda answer: Response(body=str(answer.tolist()).encode()), Table(rows=1, matrix=np.array([[value]])))
        for value in (1.0, -1.0, 3.0)
    ]
    model.run(jobs)
    outcomes = [one.outcome.body if isinstance(one.outcome, Response) else str(one.outcome) for one in jobs]
    assert outcomes == [b"[2.0]", "ValueError", b"[6.0]"]


def test_an_answer_that_cannot_be_delivered_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    delivered: list[str] = []

    def broken(_error: ApiError | None) -> None:
        raise BrokenPipeError

    async def scenario() -> None:
        lane = batch_lane(Recorder())
        lane.submit(job(), lambda _error: delivered.append("first"))
        lane.submit(job(), broken)
        lane.submit(job(), lambda _error: delivered.append("third"))
        await lane.answer(job())

    asyncio.run(scenario())
    assert delivered == ["first", "third"]
    assert [record.getMessage() for record in caplog.records] == ["an answer was not delivered"]


def test_who_would_wait_too_long_is_told_when_to_come_again() -> None:
    async def scenario(admission: Admission) -> ApiError:
        run = Recorder()
        run.held.clear()
        lane = batch_lane(run, SLOW, admission=admission)
        lane.seconds = 2.0
        running = asyncio.create_task(lane.answer(job()))
        while not run.batches:
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(lane.answer(job())) for _ in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(ApiError) as refused:
            await lane.answer(job())
        run.held.set()
        await asyncio.gather(running, *waiting)
        return refused.value

    for admission in (replace(ROOMY, waiting=2), replace(ROOMY, queue_seconds=3)):
        error = asyncio.run(scenario(admission))
        assert (error.status, error.code, error.retry_after) == (429, "TooManyRequests", 4)


def test_a_queue_that_does_not_empty_is_kept_short_and_a_burst_is_not() -> None:
    async def fill(lane: BatchLane, run: Recorder, pause: float) -> int:
        """Let 150 come while one runs, the first of them before a pause; return how many may not wait."""
        run.held.clear()
        lane.seconds = 0.003
        begun = len(run.batches)
        tasks = [asyncio.create_task(lane.answer(job()))]
        while len(run.batches) == begun:
            await asyncio.sleep(0.001)
        refused = 0
        for number in range(150):
            if number == 1:
                await asyncio.sleep(pause)
            try:
                lane.admit()
            except ApiError:
                refused += 1
            else:
                tasks.append(asyncio.create_task(lane.answer(job())))
                await asyncio.sleep(0)
        run.held.set()
        await asyncio.gather(*tasks)
        return refused

    async def scenario() -> list[int]:
        run = Recorder()
        lane = batch_lane(run, SLOW, admission=replace(ROOMY, queue_seconds=0.5))
        return [await fill(lane, run, pause) for pause in (0, 0.6, 0)]

    # 0.1 s are 34 of them, but a hundred may wait in any case; and once it was emptied, as many as before.
    assert asyncio.run(scenario()) == [0, 150 - 100, 0]


def test_a_request_whose_time_is_up_is_told_so_and_not_run() -> None:
    async def scenario() -> tuple[list[int], list[int], float]:
        run = Recorder()
        run.held.clear()
        lane = batch_lane(run, SLOW, admission=replace(ROOMY, request_seconds=0.5))
        started = time.monotonic()
        running = asyncio.create_task(lane.answer(job()))
        while not run.batches:
            await asyncio.sleep(0.001)
        results = await asyncio.gather(running, lane.answer(job()), return_exceptions=True)
        seconds = time.monotonic() - started
        run.held.set()
        await lane.answer(job())
        return [result.status for result in results if isinstance(result, ApiError)], run.batches, seconds

    statuses, batches, seconds = asyncio.run(scenario())
    assert statuses == [504, 504]
    assert batches == [1, 1]
    assert seconds >= 0.5


def test_a_short_call_that_gets_stuck_does_not_hold_up_the_others() -> None:
    stuck = threading.Event()

    def run(jobs: Sequence[Job]) -> None:
        if any(one.rows == 2 for one in jobs):
            assert stuck.wait(30)
        answered(jobs)

    async def scenario() -> None:
        lane = CallLane(run, ROOMY, 4, lambda _rows: None)
        for _ in range(20):
            await lane.answer(job())
        assert 0 < lane.seconds < 0.001
        waiting = asyncio.create_task(lane.answer(job(rows=2)))
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*(lane.answer(job()) for _ in range(3))), 10)
        assert not waiting.done()
        stuck.set()
        await waiting

    asyncio.run(scenario())


def test_slow_calls_run_beside_each_other() -> None:
    together = threading.Barrier(4)

    def run(jobs: Sequence[Job]) -> None:
        together.wait(30)
        answered(jobs)

    async def scenario() -> None:
        lane = CallLane(run, ROOMY, 4, lambda _rows: None)
        await asyncio.gather(*(lane.answer(job()) for _ in range(4)))

    asyncio.run(scenario())
