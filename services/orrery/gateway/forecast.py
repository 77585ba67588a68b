"""When a job will be done: the line before it, and what its remaining tasks took other jobs."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from orrery.gateway.eta import LatencyModel, Line
from orrery.jobs.records import STEPPED_STAGES, Job, JobState, PoolStatus, ServiceRate, TaskRecord, TaskState
from orrery.jobs.store import JobStore, Pools
from orrery.worlds.catalog import CATALOG
from orrery.worlds.errors import JobNotFound
from orrery.worlds.plan import Plan
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest

GLANCE_SECONDS = 1.0
"""How old a look at the pools may be."""

PROMISES_KEPT = 10_000
LEARNED_AT_START = 100


@dataclass(frozen=True)
class Forecast:
    """`queue_position` of the next queued task, 0 = next. `eta_seconds` until the job is done; None if nothing is known."""

    queue_position: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True)
class _Glance:
    at: float
    pools: Mapping[str, PoolStatus]
    rates: Mapping[str, ServiceRate]


class GatewayJobs(JobStore, Pools, Protocol):
    """The job store as a gateway needs it."""


class Forecaster:
    """Learns from every job that is completed while it looks on. `clock` gives Unix seconds, as the store's does."""

    def __init__(self, jobs: GatewayJobs, clock: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._clock = clock
        self._model = LatencyModel()
        self._glance = _Glance(0.0, {}, {})
        self._promises: OrderedDict[str, float] = OrderedDict()

    async def start(self) -> None:
        """Learns from what was completed before."""
        page = await self._jobs.list(after=None, limit=LEARNED_AT_START, order="desc")
        for job in reversed(page.jobs):
            self.learn(job)

    def learn(self, job: Job) -> None:
        """Only undisturbed work counts: no memos, no second attempts, no preemptions."""
        if job.state is not JobState.COMPLETED:
            return
        for task in job.tasks:
            undisturbed = not task.memo and task.attempt == 1 and not task.preemptions and not task.leases_lost
            if undisturbed and task.started_at is not None and task.finished_at is not None:
                self._model.learn(_kind(job, task), _steps(job, task), task.finished_at - task.started_at)

    def promise(self, job: Job, forecast: Forecast) -> None:
        """Keeps what a client was told when its job was taken, to be compared with what comes."""
        if forecast.eta_seconds is not None:
            self._promises[job.id] = forecast.eta_seconds
        if len(self._promises) > PROMISES_KEPT:
            self._promises.popitem(last=False)

    def error(self, job: Job) -> float | None:
        """Of a completed job that was promised here, |promised - actual| / actual; once."""
        promised = self._promises.pop(job.id, None)
        if promised is None or job.state is not JobState.COMPLETED or job.finished_at is None:
            return None
        actual = job.finished_at - job.created_at
        return abs(promised - actual) / actual if actual > 0 else None

    async def forecast(self, job: Job) -> Forecast:
        if job.state.ended:
            return Forecast()
        queued = any(task.state is TaskState.QUEUED for task in job.tasks)
        position = await self._position(job) if queued else None
        glance = await self._look()
        left = self._left(job, position, glance)
        return Forecast(position, None if left is None else round(left, 3))

    async def _position(self, job: Job) -> int | None:
        try:
            return await self._jobs.position(job.id)
        except JobNotFound:  # deleted since the record was read
            return None

    async def _look(self) -> _Glance:
        now = time.monotonic()
        if now - self._glance.at >= GLANCE_SECONDS:
            self._glance = _Glance(now, await self._jobs.pools(), await self._jobs.rates())
        return self._glance

    def _left(self, job: Job, position: int | None, glance: _Glance) -> float | None:
        """Seconds to the end of the last task, each beginning when what it needs and the line before it are done."""
        tasks = _plan_of(job)
        records = {task.id: task for task in job.tasks}
        if tasks is None or {task.id for task in tasks.tasks} != set(records):
            return None  # planned by another version
        ends: dict[str, float] = {}
        for task in tasks.tasks:
            ready = max((ends[name] for name in task.needs), default=0.0)
            end = self._end_of(job, records[task.id], ready, position, glance)
            if end is None:
                return None
            ends[task.id] = end
        return max(ends.values())

    def _end_of(self, job: Job, task: TaskRecord, ready: float, position: int | None, glance: _Glance) -> float | None:
        if task.state is TaskState.DONE:
            return 0.0
        line = self._line(job, task, glance)
        if line is None:
            return None
        if task.state is TaskState.RUNNING:
            return _left_of_running(job, task, line, self._clock())
        status = glance.pools.get(task.pool, PoolStatus(waiting=0, running=0, workers=0))
        ahead = position if task.state is TaskState.QUEUED and position is not None else status.waiting
        rate = glance.rates.get(task.pool)
        seconds = rate.seconds if rate else line.seconds(_steps(job, task))
        return max(ready, _wait(status, ahead, seconds)) + line.seconds(_steps(job, task))

    def _line(self, job: Job, task: TaskRecord, glance: _Glance) -> Line | None:
        """Of this kind of task, else the average of its pool."""
        rate = glance.rates.get(task.pool)
        return self._model.line(_kind(job, task)) or (Line(rate.seconds, 0.0) if rate else None)


def _wait(status: PoolStatus, ahead: int, seconds: float) -> float:
    """Until a worker has done what is ahead; if all are busy, the first of them is free after its share of a task."""
    workers = max(1, status.workers)
    busy = status.running >= workers
    return ahead * seconds / workers + (seconds / (workers + 1) if busy else 0.0)


def _left_of_running(job: Job, task: TaskRecord, line: Line, now: float) -> float:
    """By the clock, but never less than the steps that are still to come."""
    steps = _steps(job, task)
    elapsed = now - task.started_at if task.started_at is not None else 0.0
    first = task.checkpoint_step or 0 if task.attempt > 1 or task.preemptions else 0
    by_clock = line.seconds(steps - first) - elapsed
    by_steps = line.per_step * (steps - (task.step or first))
    return max(0.0, by_clock, by_steps)


def _steps(job: Job, task: TaskRecord) -> int:
    """What the stage said, else what was asked for; 0 where time does not go by steps."""
    return task.num_steps or (int(job.request["num_inference_steps"]) if task.stage in STEPPED_STAGES else 0)


def _kind(job: Job, task: TaskRecord) -> Hashable:
    size = job.request["size"]
    return task.pool, task.id, size["width"], size["height"], job.request["num_frames"], bool(job.request["guidance_scale"])


def _plan_of(job: Job) -> Plan | None:
    model = CATALOG.get(job.model)
    return None if model is None else plan(WorldRequest.model_validate(job.request), model)
