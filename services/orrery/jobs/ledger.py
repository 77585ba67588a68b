"""The rules of the job store on plain objects, without waiting: `MemoryJobs` is to this what `RedisJobs` is to its scripts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from orrery.jobs import graph
from orrery.jobs.admission import NOT_STARTED, Keys, Room
from orrery.jobs.answers import PREVIEW_SECONDS, check_preview, exhausted, missing_output, progress_data, queue_full
from orrery.jobs.line import Line
from orrery.jobs.pool import Pool, PoolTable
from orrery.jobs.records import (
    Claim,
    Completion,
    Job,
    JobState,
    Preview,
    Priority,
    Signal,
    Standing,
    Submission,
    TaskRecord,
    TaskState,
)
from orrery.jobs.roster import Roster
from orrery.jobs.rows import JobRow, TaskRow
from orrery.jobs.rules import Rules
from orrery.jobs.shelf import Shelf, is_dead
from orrery.jobs.turns import Turns, has_turn
from orrery.worlds.plan import ArtifactRef


class Ledger:
    """All jobs, pools and workers of one store."""

    def __init__(self, rules: Rules, clock: Callable[[], float]):
        self._rules = rules
        self._clock = clock
        self._room = Room(rules)
        self._keys = Keys(rules, clock)
        self._tickets = 0
        self.shelf = Shelf(clock)
        self.roster = Roster(clock)
        self._turns = Turns()
        self.pools = PoolTable()
        self.signals: list[Signal] = []

    def submit(self, submission: Submission) -> Job:
        known = submission.job_id if submission.job_id in self.shelf.jobs else None
        known = known or self._keys.job_of(submission, self.shelf.jobs)
        return self.shelf.row(known).record() if known else self._enter(submission)

    def _enter(self, submission: Submission) -> Job:
        self._check_room(submission)
        self._keys.remember(submission)
        fields = submission.model_dump(include={"model", "workflow", "request", "notes", "tenant", "priority", "trace"})
        head = Job(id=submission.job_id, state=JobState.QUEUED, created_at=self._clock(), tasks=(), **fields)
        retention = self._rules.retention if submission.retention is None else submission.retention
        job = self.shelf.jobs[head.id] = JobRow(head, submission.plan, retention)
        for task in submission.plan.tasks:
            record = TaskRecord(id=task.id, stage=task.stage, pool=task.pool, state=TaskState.WAITING)
            row = job.tasks[task.id] = TaskRow(job, task, record, set(task.needs))
            self._room.count(row, 1)
        self.shelf.emit(job, "job.queued")
        self._enqueue_ready(job)
        return job.record()

    def _check_room(self, submission: Submission) -> None:
        pool, excess = self._room.excess(submission)
        if excess > 0:
            pace = self.pools[pool].pace if pool in self.pools else None
            raise queue_full(pool, excess, pace, len(self.roster.serving(pool)))

    def cancel(self, job_id: str) -> Job:
        job = self.shelf.row(job_id)
        if not job.head.state.ended:
            self._end_for_good(job, JobState.CANCELLED)
        return job.record()

    def delete(self, job_id: str) -> Job:
        last = self.cancel(job_id)
        del self.shelf.jobs[job_id]
        return last

    def position(self, job_id: str) -> int | None:
        rows = self.shelf.row(job_id).tasks.values()
        row = next((row for row in rows if row.record.state is TaskState.QUEUED), None)
        if row is None:
            return None
        pool = self.pools[row.task.pool]
        return pool.line.ahead(row) + sum(held.lapses <= self._clock() for held in pool.held)

    def requeue(self, job_id: str) -> Job:
        job = self.shelf.row(job_id)
        if is_dead(job):
            # The one way back from an end, and so beside the tables of moves.
            update = {"state": JobState.QUEUED, "error": None, "started_at": None, "finished_at": None, "expires_at": None}
            job.head = job.head.model_copy(update=update)
            for row in job.tasks.values():
                if row.record.state is not TaskState.DONE:
                    row.note(state=TaskState.WAITING, attempt=0, worker=None, started_at=None, finished_at=None)
                    row.token = None
                    self._room.count(row, 1)
            self.shelf.emit(job, "job.queued", {"requeued": True})
            self._enqueue_ready(job)
        return job.record()

    def claim(self, pools: Sequence[str], worker: str) -> Claim | None:
        lapsed = (self._lapsed(self.pools[pool]) for pool in pools if pool in self.pools)
        row = next((row for row in lapsed if row), None) or self._turns.next(pools, self._lines(pools))
        if row is None:
            return None
        row.asked = tuple(pools)
        return self._run(row, worker)

    def _lines(self, pools: Sequence[str]) -> list[Line]:
        return [self.pools[pool].line for pool in pools if pool in self.pools]

    def _lapsed(self, pool: Pool) -> TaskRow | None:
        while row := pool.lapsed(self._clock()):
            row.note(leases_lost=row.record.leases_lost + 1)
            pool.incidents["leases_lost"] += 1
            if row.record.attempt < self._rules.max_attempts:
                return row
            pool.incidents["dead_letters"] += 1
            self._end_task(row, TaskState.FAILED)
            self._end(row.job, JobState.FAILED, exhausted(row.task.pool, self._rules.max_attempts))
        return None

    def patience(self, pool: str) -> float:
        """Seconds until a lease of the pool may run out."""
        held = self.pools[pool].held if pool in self.pools else []
        return min((row.lapses for row in held), default=float("inf")) - self._clock()

    def _run(self, row: TaskRow, worker: str) -> Claim:
        now, attempt = self._clock(), row.record.attempt + 1
        queued = row.record.state is TaskState.QUEUED
        self._move(row, TaskState.RUNNING, in_line=not queued, attempt=attempt, worker=worker, started_at=now)
        row.token, row.lapses, row.at = secrets.token_hex(16), now + self._rules.lease, row.record.checkpoint_step or 0
        self.pools[row.task.pool].held.append(row)
        job = row.job
        if job.head.state is JobState.QUEUED:
            job.move(JobState.IN_PROGRESS, started_at=now)
            self.shelf.emit(job, "job.in_progress")
        return row.claimed(worker, now - (row.record.queued_at or now) if queued else None)

    def _standing(self, claim: Claim) -> tuple[Standing, TaskRow | None]:
        """What the claim is still worth; the row for its owner only. A deleted job was cancelled first."""
        job = self.shelf.jobs.get(claim.job_id)
        row = job.tasks.get(claim.task.id) if job else None
        if row is None:
            return Standing.CANCELLED, None
        if row.token != claim.token:
            return Standing.LOST, None
        if row.record.state is TaskState.CANCELLED:
            return Standing.CANCELLED, None
        if row.record.state is not TaskState.RUNNING or row.record.worker != claim.worker:
            return Standing.LOST, None
        return Standing.PREEMPTED if row.yields_to else Standing.OWNED, row

    def renew(self, claim: Claim) -> Standing:
        standing, row = self._standing(claim)
        if row:
            row.lapses = self._clock() + self._rules.lease
        return standing

    def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        standing, row = self._standing(claim)
        if row:
            row.note(step=step, num_steps=num_steps)
            row.count_steps(step, reset=True)
            self.shelf.emit(row.job, "job.progress", progress_data(claim, step, num_steps) | row.job.tell_preview())
        return standing

    def show(self, claim: Claim, preview: Preview) -> Standing:
        check_preview(preview)
        standing, row = self._standing(claim)
        if row:
            row.job.show(preview, self._clock() + PREVIEW_SECONDS)
        return standing

    def checkpoint(self, claim: Claim, ref: ArtifactRef, step: int) -> Standing:
        standing, row = self._standing(claim)
        if row:
            row.checkpoint = ref
            row.note(checkpoint_step=step)
            row.count_steps(step, reset=False)
        return standing

    def complete(self, claim: Claim, completion: Completion) -> Standing:
        standing, row = self._standing(claim)
        if row is None:
            return standing
        for name in graph.promised(graph.outline(row.job.plan))[row.task.id]:
            if name not in completion.outputs:
                raise missing_output(claim, name)
        row.forget_checkpoint()
        self._end_task(row, TaskState.DONE, **dict(completion))
        seconds = self._clock() - (row.record.started_at or 0)
        pool, its_turn = self.pools[row.task.pool], has_turn(row, self._lines(row.asked))
        pool.count(seconds)
        pool.line.accounts.charge(row.priority, row.tenant, completion.stage_seconds, its_turn=its_turn)
        self._advance(row)
        return Standing.OWNED

    def _advance(self, done: TaskRow) -> None:
        rows = done.job.tasks.values()
        followers = [row for row in rows if done.task.id in row.needs]
        for row in followers:
            row.needs.remove(done.task.id)
            if not row.needs:
                self._enqueue(row)
        if all(row.record.state is TaskState.DONE for row in rows):
            self._end_for_good(done.job, JobState.COMPLETED)

    def fail(self, claim: Claim, error: dict[str, Any], *, retry: bool) -> Standing:
        standing, row = self._standing(claim)
        if row is None:
            return standing
        pool = self.pools[row.task.pool]
        if retry and row.record.attempt < self._rules.max_attempts:
            self._enqueue(row)
            pool.incidents["retries"] += 1
        elif retry:
            pool.incidents["dead_letters"] += 1
            self._end_task(row, TaskState.FAILED)
            self._end(row.job, JobState.FAILED, exhausted(row.task.pool, self._rules.max_attempts, error.get("message")))
        else:
            self._end_task(row, TaskState.FAILED)
            self._end_for_good(row.job, JobState.FAILED, error)
        return Standing.OWNED

    def release(self, claim: Claim) -> Standing:
        standing, row = self._standing(claim)
        if row is None:
            return standing
        if row.yields_to:
            row.note(preemptions=row.record.preemptions + 1)
            self.pools[row.task.pool].incidents["preemptions"] += 1
            self.pools[row.yields_to].line.owed += 1
        row.note(attempt=row.record.attempt - 1)
        self._stand_in_line(row)
        return Standing.OWNED

    def _enqueue_ready(self, job: JobRow) -> None:
        for row in job.tasks.values():
            if row.record.state is TaskState.WAITING and not row.needs:
                self._enqueue(row)

    def _enqueue(self, row: TaskRow) -> None:
        self._tickets += 1
        row.ticket = self._tickets
        self._stand_in_line(row)

    def _stand_in_line(self, row: TaskRow) -> None:
        """By its old ticket a task is the first of its tenant again."""
        self._move(row, TaskState.QUEUED, worker=None, started_at=None, queued_at=self._clock())
        row.token = None
        pool = row.task.pool
        self.pools[pool].line.put(row)
        if row.priority is Priority.INTERACTIVE and (victim := self.pools.victim(pool, row.task.stage, self.roster)):
            victim.yields_to = pool
            self.signals.append(Signal(kind="preempt", job_id=victim.job.head.id, task_id=victim.task.id))

    def _move(self, row: TaskRow, state: TaskState, *, in_line: bool = True, **changes: Any) -> None:
        """Takes a task out of the state it is in. `in_line` unless it was taken from the line already."""
        old = row.record.state
        row.move(state, **changes)
        if old is TaskState.RUNNING:
            self.pools[row.task.pool].let_go(row)
        if old is TaskState.QUEUED and in_line:
            self.pools[row.task.pool].line.drop(row)
        self._room.count(row, (state in NOT_STARTED) - (old in NOT_STARTED))

    def _end_task(self, row: TaskRow, state: TaskState, **changes: Any) -> None:
        self._move(row, state, finished_at=self._clock(), **changes)

    def _end_for_good(self, job: JobRow, state: JobState, error: dict[str, Any] | None = None) -> None:
        """What is left of a job that cannot be taken up again needs no checkpoints."""
        for row in job.tasks.values():
            row.forget_checkpoint()
        self._end(job, state, error)

    def _end(self, job: JobRow, state: JobState, error: dict[str, Any] | None = None) -> None:
        left = [row for row in job.tasks.values() if not row.ended]
        interrupted = any(row.record.state is TaskState.RUNNING for row in left)
        for row in left:
            self._end_task(row, TaskState.CANCELLED)
        now = self._clock()
        job.show(None, now)
        job.move(state, finished_at=now, expires_at=now + job.retention, error=error)
        if interrupted or state is JobState.CANCELLED:
            self.signals.append(Signal(kind="cancel", job_id=job.head.id))
        self.shelf.emit(job, f"job.{state}", {"error": error} if error else {})
