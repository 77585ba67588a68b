"""The in-memory twin of `RedisJobs`: for one process, for tests, gone with the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal, TypeVar

from orrery.jobs.ledger import Ledger, number_of
from orrery.jobs.records import (
    Claim,
    Completion,
    Event,
    Job,
    JobPage,
    PoolStatus,
    Standing,
    Submission,
    TaskState,
)
from orrery.jobs.roster import Roster

T = TypeVar("T")


class MemoryJobs:
    """Implements `JobStore`, `TaskQueue` and `Pools`. `clock` gives Unix seconds; leases and records go by it alone."""

    def __init__(self, *, lease: float = 15.0, max_attempts: int = 3, clock: Callable[[], float] = time.time):
        self._ledger = Ledger(lease=lease, max_attempts=max_attempts, clock=clock)
        self._roster = Roster(clock)
        self._changed = asyncio.Condition()

    async def _write(self, change: Callable[[], T]) -> T:
        async with self._changed:
            answer = change()
            self._changed.notify_all()
            return answer

    async def submit(self, submission: Submission) -> Job:
        """As the protocol says; submitting an id again gives the job that is there."""
        return await self._write(lambda: self._ledger.submit(submission))

    async def get(self, job_id: str) -> Job:
        return self._ledger.get(job_id)

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"]) -> JobPage:
        return self._ledger.page(after, limit, order)

    async def cancel(self, job_id: str) -> Job:
        return await self._write(lambda: self._ledger.cancel(job_id))

    async def delete(self, job_id: str) -> Job:
        return await self._write(lambda: self._ledger.delete(job_id))

    async def events(self, *, job_id: str | None = None, after: str = "0") -> AsyncGenerator[Event, None]:
        """As the protocol says. Raises `JobNotFound`; of a job that is deleted meanwhile the iterator just stops."""
        if job_id is not None:
            self._ledger.get(job_id)
        seen = number_of(after)
        while batch := await self._events_after(job_id, seen):
            for event in batch:
                yield event
                seen = number_of(event.id)

    async def _events_after(self, job_id: str | None, seen: int) -> tuple[Event, ...]:
        """At least one event; none if none can follow."""

        def settled() -> bool:
            return bool(self._ledger.later(job_id, seen)) or (job_id is not None and self._ledger.is_over(job_id))

        async with self._changed:
            await self._changed.wait_for(settled)
            return tuple(self._ledger.later(job_id, seen))

    async def claim(self, pools: Sequence[str], worker: str, *, wait: float) -> Claim | None:
        deadline = time.monotonic() + wait
        async with self._changed:
            while True:
                found = self._take(pools, worker)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, *map(self._ledger.patience, pools))):
                        await self._changed.wait()

    def _take(self, pools: Sequence[str], worker: str) -> Claim | None:
        before = self._ledger.changes
        claims = (self._ledger.claim(pool, worker) for pool in pools)
        found = next((claim for claim in claims if claim), None)
        # Only news may wake the others: two idle claims would else wake each other for ever.
        if self._ledger.changes > before:
            self._changed.notify_all()
        return found

    async def renew(self, claim: Claim) -> Standing:
        return await self._write(lambda: self._ledger.renew(claim))

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        return await self._write(lambda: self._ledger.progress(claim, step, num_steps))

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        """As the protocol says. Raises `StageFailed`, and writes nothing, if an output that the plan reads is missing."""
        return await self._write(lambda: self._ledger.complete(claim, completion))

    async def fail(self, claim: Claim, error: dict[str, object], *, retry: bool) -> Standing:
        return await self._write(lambda: self._ledger.fail(claim, error, retry=retry))

    async def release(self, claim: Claim) -> Standing:
        """As the protocol says; the task goes before all that wait."""
        return await self._write(lambda: self._ledger.release(claim))

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        self._roster.announce(worker, pools, seconds)

    async def pools(self) -> dict[str, PoolStatus]:
        workers = self._roster.workers()
        tasks = {pool: [row.record.state for row in rows] for pool, rows in self._ledger.pools.items()}
        return {
            pool: PoolStatus(
                waiting=tasks.get(pool, []).count(TaskState.QUEUED),
                running=tasks.get(pool, []).count(TaskState.RUNNING),
                workers=workers[pool],
            )
            for pool in sorted({*tasks, *workers})
        }

    async def cancellations(self) -> AsyncGenerator[str, None]:
        """Ids of jobs that ended with work still running, or were cancelled, since the first item was asked for."""
        told = len(self._ledger.cancelled)
        while True:
            yield await self._cancelled(told)
            told += 1

    async def _cancelled(self, number: int) -> str:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._ledger.cancelled) > number)
            return self._ledger.cancelled[number]
