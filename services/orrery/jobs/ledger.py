"""The rules of the job store on plain objects, without waiting: `MemoryJobs` is to this what `RedisJobs` is to its scripts."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from orrery.jobs import graph
from orrery.jobs.answers import exhausted, missing_output, no_such_job, progress_data
from orrery.jobs.records import (
    Claim,
    Completion,
    Event,
    Job,
    JobPage,
    JobState,
    Standing,
    Submission,
    TaskRecord,
    TaskState,
)
from orrery.jobs.rows import JobRow, TaskRow

EVENTS_KEPT = 50_000


def number_of(event_id: str) -> int:
    return int(event_id.split("-")[0])


class Ledger:
    """All jobs, pools, events and workers of one store."""

    def __init__(self, *, lease: float, max_attempts: int, clock: Callable[[], float]):
        self._lease = lease
        self._max_attempts = max_attempts
        self._clock = clock
        self._jobs: dict[str, JobRow] = {}
        self.pools: dict[str, list[TaskRow]] = {}
        """Queued and running tasks, of every pool that ever had one."""
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._tickets = 0
        self.changes = 0
        """Number of events so far."""
        self.cancelled: list[str] = []

    def submit(self, submission: Submission) -> Job:
        if submission.job_id not in self._jobs:
            job = self._enter(submission)
            self._emit(job, "job.queued")
            for row in job.tasks.values():
                self._enqueue_if_ready(row)
        return self.get(submission.job_id)

    def _enter(self, submission: Submission) -> JobRow:
        fields = submission.model_dump(include={"model", "workflow", "request", "notes"})
        head = Job(id=submission.job_id, state=JobState.QUEUED, created_at=self._clock(), tasks=(), **fields)
        job = self._jobs[head.id] = JobRow(head, submission.plan)
        for task in submission.plan.tasks:
            record = TaskRecord(id=task.id, stage=task.stage, pool=task.pool, state=TaskState.WAITING)
            job.tasks[task.id] = TaskRow(job, task, record, set(task.needs))
        return job

    def get(self, job_id: str) -> Job:
        return self._row(job_id).record()

    def _row(self, job_id: str) -> JobRow:
        if job_id not in self._jobs:
            raise no_such_job(job_id)
        return self._jobs[job_id]

    def page(self, after: str | None, limit: int, order: Literal["asc", "desc"]) -> JobPage:
        ids = list(self._jobs) if order == "asc" else list(reversed(self._jobs))
        if after is not None:
            ids = ids[ids.index(self._row(after).head.id) + 1 :]
        return JobPage(jobs=tuple(self.get(job_id) for job_id in ids[:limit]), has_more=len(ids) > limit)

    def cancel(self, job_id: str) -> Job:
        job = self._row(job_id)
        if not job.head.state.ended:
            self._end(job, JobState.CANCELLED)
        return job.record()

    def delete(self, job_id: str) -> Job:
        last = self.cancel(job_id)
        del self._jobs[job_id]
        return last

    def later(self, job_id: str | None, number: int) -> Sequence[Event]:
        """Events, of one job or of all, after the one of that number."""
        if job_id is None:
            return [event for event in self._events if number_of(event.id) > number]
        job = self._jobs.get(job_id)
        return [event for event in job.events if number_of(event.id) > number] if job else []

    def is_over(self, job_id: str) -> bool:
        """Whether no event of the job can follow."""
        return job_id not in self._jobs or self._jobs[job_id].head.state.ended

    def claim(self, pool: str, worker: str) -> Claim | None:
        while row := self._due(pool):
            if row.record.state is TaskState.QUEUED or row.record.attempt < self._max_attempts:
                return self._run(row, worker)
            self._fail(row, exhausted(pool, self._max_attempts))
        return None

    def _due(self, pool: str) -> TaskRow | None:
        """The task to be handed out next: first those whose lease ran out."""
        now = self._clock()
        rows = [row for row in self.pools.get(pool, []) if row.record.state is TaskState.QUEUED or row.lapses <= now]
        return min(rows, key=lambda row: (row.lapses > now, row.ticket), default=None)

    def patience(self, pool: str) -> float:
        """Seconds until a lease of the pool may run out."""
        return min((row.lapses for row in self.pools.get(pool, [])), default=math.inf) - self._clock()

    def _run(self, row: TaskRow, worker: str) -> Claim:
        now, attempt = self._clock(), row.record.attempt + 1
        row.move(TaskState.RUNNING, attempt=attempt, worker=worker, started_at=now)
        row.token, row.lapses = secrets.token_hex(16), now + self._lease
        job = row.job
        if job.head.state is JobState.QUEUED:
            job.move(JobState.IN_PROGRESS, started_at=now)
            self._emit(job, "job.in_progress")
        inputs = graph.resolve(row.task.inputs, job.outputs)
        return Claim(job_id=job.head.id, task=row.task, attempt=attempt, token=row.token, worker=worker, inputs=inputs)

    def _standing(self, claim: Claim) -> tuple[Standing, TaskRow | None]:
        """What the claim is still worth; the row for its owner only. A deleted job was cancelled first."""
        job = self._jobs.get(claim.job_id)
        row = job.tasks.get(claim.task.id) if job else None
        if row is None:
            return Standing.CANCELLED, None
        if row.token != claim.token:
            return Standing.LOST, None
        if row.record.state is TaskState.CANCELLED:
            return Standing.CANCELLED, None
        held = row.record.state is TaskState.RUNNING and row.record.worker == claim.worker
        return (Standing.OWNED, row) if held else (Standing.LOST, None)

    def renew(self, claim: Claim) -> Standing:
        standing, row = self._standing(claim)
        if row:
            row.lapses = self._clock() + self._lease
        return standing

    def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        standing, row = self._standing(claim)
        if row:
            row.record = row.record.model_copy(update={"step": step, "num_steps": num_steps})
            self._emit(row.job, "job.progress", progress_data(claim, step, num_steps))
        return standing

    def complete(self, claim: Claim, completion: Completion) -> Standing:
        standing, row = self._standing(claim)
        if row:
            for name in graph.promised(row.job.plan)[row.task.id]:
                if name not in completion.outputs:
                    raise missing_output(claim, name)
            self._end_task(row, TaskState.DONE, **dict(completion))
            self._advance(row)
        return standing

    def _advance(self, done: TaskRow) -> None:
        rows = done.job.tasks.values()
        for row in rows:
            if done.task.id in row.needs:
                row.needs.remove(done.task.id)
                self._enqueue_if_ready(row)
        if all(row.record.state is TaskState.DONE for row in rows):
            self._end(done.job, JobState.COMPLETED)

    def fail(self, claim: Claim, error: dict[str, Any], *, retry: bool) -> Standing:
        standing, row = self._standing(claim)
        if row and retry and row.record.attempt < self._max_attempts:
            self.pools[row.task.pool].remove(row)
            self._enqueue(row)
        elif row:
            self._fail(row, error)
        return standing

    def release(self, claim: Claim) -> Standing:
        standing, row = self._standing(claim)
        if row:
            changes = {"attempt": row.record.attempt - 1, "queued_at": self._clock()}
            row.move(TaskState.QUEUED, worker=None, started_at=None, **changes)
            row.token, row.lapses = None, -math.inf
        return standing

    def _enqueue_if_ready(self, row: TaskRow) -> None:
        if not row.needs:
            self._enqueue(row)

    def _enqueue(self, row: TaskRow) -> None:
        row.move(TaskState.QUEUED, worker=None, started_at=None, queued_at=self._clock())
        self._tickets += 1
        row.token, row.ticket, row.lapses = None, self._tickets, math.inf
        self.pools.setdefault(row.task.pool, []).append(row)

    def _fail(self, row: TaskRow, error: dict[str, Any]) -> None:
        self._end_task(row, TaskState.FAILED)
        self._end(row.job, JobState.FAILED, error)

    def _end_task(self, row: TaskRow, state: TaskState, **changes: Any) -> None:
        if row in self.pools.get(row.task.pool, []):
            self.pools[row.task.pool].remove(row)
        row.move(state, finished_at=self._clock(), **changes)

    def _end(self, job: JobRow, state: JobState, error: dict[str, Any] | None = None) -> None:
        left = [row for row in job.tasks.values() if not row.ended]
        interrupted = any(row.record.state is TaskState.RUNNING for row in left)
        for row in left:
            self._end_task(row, TaskState.CANCELLED)
        job.move(state, finished_at=self._clock(), error=error)
        if interrupted or state is JobState.CANCELLED:
            self.cancelled.append(job.head.id)
        self._emit(job, f"job.{state}", {"error": error} if error else {})

    def _emit(self, job: JobRow, kind: str, data: dict[str, Any] | None = None) -> None:
        self.changes += 1
        event = Event(id=f"{self.changes}-0", job_id=job.head.id, type=kind, at=self._clock(), data=data or {})
        self._events.append(event)
        job.events.append(event)
