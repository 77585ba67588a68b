"""When a job will be done: the line before it, and what its remaining tasks took other jobs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from orrery.gateway.eta import LatencyModel, Line
from orrery.jobs.records import STEPPED_STAGES, Job, JobState, PoolStatus, ServiceRate, TaskRecord, TaskState
from orrery.jobs.store import JobStore, Pools
from orrery.worlds.catalog import CATALOG
from orrery.worlds.errors import JobNotFound
from orrery.worlds.passes import role_of
from orrery.worlds.plan import Plan
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest

GLANCE_SECONDS = 0.25
"""How old a look at the pools may be."""

EMPTY = PoolStatus(waiting=0, running=0, workers=0)
PROMISES_KEPT = 10_000
SHAPES_KEPT = 10_000
LEARNED_AT_START = 100


@dataclass(frozen=True)
class Forecast:
    """`queue_position` of the next queued task, 0 = next. `eta_seconds` until the job is done; None if nothing is known."""

    queue_position: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True)
class Estimate(Forecast):
    """Of a job that nobody submitted. `device_seconds` is how long its tasks hold components; None if one is not known."""

    device_seconds: float | None = None


@dataclass(frozen=True)
class _Step:
    """What a forecast needs of a task of a plan."""

    id: str
    needs: tuple[str, ...]
    has_component: bool


Shape = tuple[_Step, ...]


@cache
def _step(task_id: str, needs: tuple[str, ...], *, has_component: bool) -> _Step:
    """The plans of thousands of jobs have the same few steps."""
    return _Step(task_id, needs, has_component)


def _shape_of(planned: Plan) -> Shape:
    return tuple(_step(task.id, tuple(task.needs), has_component=task.component is not None) for task in planned.tasks)


@dataclass(frozen=True)
class _Glance:
    at: float
    pools: Mapping[str, PoolStatus]
    rates: Mapping[str, ServiceRate]

    def status(self, pool: str) -> PoolStatus:
        return self.pools.get(pool, EMPTY)

    def workers(self, pool: str) -> int:
        return max(1, self.status(pool).workers)

    def share_running(self, pool: str) -> float:
        """If all workers are busy, how much of a task is left on average until the first of them is free, times the workers."""
        workers = self.workers(pool)
        return workers / (workers + 1) if self.status(pool).running >= workers else 0.0


class GatewayJobs(JobStore, Pools, Protocol):
    """The job store as a gateway needs it."""


class Forecaster:
    """Learns from every job that is completed while it looks on. `clock` gives Unix seconds, as the store's does."""

    def __init__(self, jobs: GatewayJobs, clock: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._clock = clock
        self._model = LatencyModel()
        self._glance = _Glance(0.0, {}, {})
        self._looking = asyncio.Lock()
        self._shapes: OrderedDict[str, Shape | None] = OrderedDict()
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
        queued = any(task.state is TaskState.QUEUED for task in job.tasks)
        return await self.forecast_at(job, await self._position(job) if queued else None)

    async def forecasts(self, jobs: Sequence[Job]) -> list[Forecast]:
        """Of many jobs, whose places are asked for together."""
        places = await asyncio.gather(*map(self._place, jobs))
        return [await self.forecast_at(job, place) for job, place in zip(jobs, places, strict=True)]

    async def _place(self, job: Job) -> int | None:
        if job.state.ended:
            return None
        try:
            _, place = await self._jobs.look(job.id)  # looks of the same moment are one call
        except JobNotFound:  # deleted since the record was read
            return None
        return place

    async def forecast_at(self, job: Job, position: int | None) -> Forecast:
        """Of a job whose place in the queue is known."""
        if job.state.ended:
            return Forecast()
        glance = await self._look()
        left = self._left(job, position, glance)
        return Forecast(position, None if left is None else round(left, 3))

    async def estimate(self, job: Job) -> Estimate:
        """As if the job came now, behind all that waits; nothing is known yet of what it finds done already."""
        glance = await self._look()
        position = next((glance.status(task.pool).waiting for task in job.tasks if task.state is TaskState.QUEUED), None)
        left, held = self._left(job, position, glance), self._held(job, glance)
        return Estimate(position, None if left is None else round(left, 3), None if held is None else round(held, 3))

    def _held(self, job: Job, glance: _Glance) -> float | None:
        """Seconds of the tasks that hold a component, which is what occupies a device."""
        components = {step.id for step in self._shape(job) or () if step.has_component}
        tasks = [task for task in job.tasks if task.id in components]
        lines = [self._line(job, task, glance) for task in tasks]
        known = [line.seconds(_steps(job, task)) for line, task in zip(lines, tasks, strict=True) if line is not None]
        return sum(known) if len(known) == len(tasks) else None

    async def _position(self, job: Job) -> int | None:
        try:
            return await self._jobs.position(job.id)
        except JobNotFound:  # deleted since the record was read
            return None

    async def _look(self) -> _Glance:
        if time.monotonic() - self._glance.at >= GLANCE_SECONDS:
            async with self._looking:  # one for all who found it too old
                if (now := time.monotonic()) - self._glance.at >= GLANCE_SECONDS:
                    self._glance = _Glance(now, await self._jobs.pools(), await self._jobs.rates())
        return self._glance

    def _left(self, job: Job, position: int | None, glance: _Glance) -> float | None:
        """Seconds to the end of the last task, each beginning when what it needs and the line before it are done."""
        steps = self._shape(job)
        records = {task.id: task for task in job.tasks}
        if steps is None or {step.id for step in steps} != set(records):
            return None  # planned by another version
        ahead = _ahead([records[step.id] for step in steps], position, glance)
        ends: dict[str, float] = {}
        for task in steps:
            ready = max((ends[name] for name in task.needs), default=0.0)
            end = self._end_of(job, records[task.id], ready, ahead, glance)
            if end is None:
                return None
            ends[task.id] = end
        return max(ends.values())

    def planned(self, job_id: str, tasks: Plan | None) -> None:
        """Keeps what is asked of a job's plan at every look at it; None if it cannot be planned here."""
        self._shapes[job_id] = None if tasks is None else _shape_of(tasks)
        if len(self._shapes) > SHAPES_KEPT:
            self._shapes.popitem(last=False)

    def _shape(self, job: Job) -> Shape | None:
        if job.id not in self._shapes:
            self.planned(job.id, _plan_of(job))
        return self._shapes[job.id]

    def _end_of(self, job: Job, task: TaskRecord, ready: float, ahead: Mapping[str, float], glance: _Glance) -> float | None:
        if task.state is TaskState.DONE:
            return 0.0
        line = self._line(job, task, glance)
        if line is None:
            return None
        if task.state is TaskState.RUNNING:
            return _left_of_running(job, task, line, self._clock())
        rate, own = glance.rates.get(task.pool), line.seconds(_steps(job, task))
        wait = ahead[task.pool] * (rate.seconds if rate else own) / glance.workers(task.pool)
        return max(ready, wait) + own

    def _line(self, job: Job, task: TaskRecord, glance: _Glance) -> Line | None:
        """Of this kind of task, else the average of its pool."""
        rate = glance.rates.get(task.pool)
        return self._model.line(_kind(job, task)) or (Line(rate.seconds, 0.0) if rate else None)


def _ahead(tasks: Sequence[TaskRecord], position: int | None, glance: _Glance) -> dict[str, float]:
    """Tasks that each pool does first, for jobs that wait there or will have come there before.

    Jobs do much the same things in the same order: who is in a pool that this one has still to reach, or before it in the same
    one, is before it in every later pool.
    """
    asked = Counter(task.pool for task in tasks)
    present = Counter(task.pool for task in tasks if task.state in (TaskState.QUEUED, TaskState.RUNNING))
    standing = next((task.pool for task in tasks if task.state is TaskState.QUEUED), None)
    ahead, jobs = {}, 0.0
    for pool in dict.fromkeys(task.pool for task in tasks if task.state is not TaskState.DONE):
        if pool == standing and position is not None:
            others = position + glance.share_running(pool)
        else:
            others = float(max(0, glance.status(pool).depth - present[pool]))
        jobs += others / asked[pool]
        ahead[pool] = jobs * asked[pool]
    return ahead


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
    """The tasks of a film's chunks are of one kind."""
    size, frames = job.request["size"], job.request.get("chunk_size") or job.request["num_frames"]
    return task.pool, role_of(task.id), size["width"], size["height"], frames, bool(job.request["guidance_scale"])


def _plan_of(job: Job) -> Plan | None:
    model = CATALOG.get(job.model)
    return None if model is None else plan(WorldRequest.model_validate(job.request), model)
