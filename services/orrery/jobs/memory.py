"""The in-memory twin of `RedisJobs`: for one process, for tests, gone with the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal, TypeVar, Unpack

from orrery.jobs.ledger import Ledger
from orrery.jobs.records import (
    Claim,
    Completion,
    Event,
    Incidents,
    Job,
    JobPage,
    JobState,
    PoolStatus,
    Preview,
    ServiceRate,
    Signal,
    Standing,
    Submission,
)
from orrery.jobs.rules import Rules, Terms
from orrery.jobs.shelf import is_dead, number_of
from orrery.worlds.plan import ArtifactRef

T = TypeVar("T")


class MemoryJobs:
    """Implements `JobStore`, `TaskQueue` and `Pools`. `clock` gives Unix seconds; leases and records go by it alone.

    For `terms` see `Rules`.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, **terms: Unpack[Terms]):
        self._ledger = Ledger(Rules(**terms), clock)
        self._shelf = self._ledger.shelf
        self._changed = asyncio.Condition()

    async def _write(self, change: Callable[[], T]) -> T:
        async with self._changed:
            answer = change()
            self._changed.notify_all()
            return answer

    async def submit(self, submission: Submission) -> Job:
        """As the protocol says; submitting an id again gives the job that is there."""
        return await self._write(lambda: self._ledger.submit(submission))

    async def enter(self, submission: Submission) -> tuple[Job, int | None]:
        job = await self.submit(submission)
        return job, await self.position(job.id)

    async def get(self, job_id: str) -> Job:
        return self._shelf.row(job_id).record()

    async def look(self, job_id: str) -> tuple[Job, int | None]:
        return await self.get(job_id), await self.position(job_id)

    async def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        return {job_id: self._shelf.jobs[job_id].head.state for job_id in job_ids if job_id in self._shelf.jobs}

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"], tenant: str | None = None) -> JobPage:
        return self._shelf.page(after, limit, order, tenant)

    async def cancel(self, job_id: str) -> Job:
        return await self._write(lambda: self._ledger.cancel(job_id))

    async def delete(self, job_id: str) -> Job:
        return await self._write(lambda: self._ledger.delete(job_id))

    async def position(self, job_id: str) -> int | None:
        return self._ledger.position(job_id)

    async def preview(self, job_id: str) -> Preview | None:
        return self._shelf.preview(job_id)

    async def dead(self, limit: int) -> Sequence[Job]:
        return self._shelf.dead(limit)

    async def requeue(self, job_id: str) -> Job:
        return await self._write(lambda: self._ledger.requeue(job_id))

    async def expired(self, limit: int) -> Sequence[str]:
        return self._shelf.expired(limit)

    async def live_artifacts(self) -> AsyncIterator[str]:
        for digest in self._shelf.artifacts():
            yield digest

    async def events(self, *, job_id: str | None = None, after: str | None = "0") -> AsyncGenerator[Event, None]:
        """As the protocol says. Raises `JobNotFound`; of a job that is deleted meanwhile the iterator just stops."""
        if job_id is not None:
            self._shelf.row(job_id)
        seen = self._shelf.changes if after is None else number_of(after)
        while batch := await self._events_after(job_id, seen):
            for event in batch:
                yield event
                seen = number_of(event.id)

    async def _events_after(self, job_id: str | None, seen: int) -> tuple[Event, ...]:
        """At least one event; none if none can follow."""

        def settled() -> bool:
            return bool(self._shelf.later(job_id, seen)) or (job_id is not None and self._shelf.is_over(job_id))

        async with self._changed:
            await self._changed.wait_for(settled)
            return tuple(self._shelf.later(job_id, seen))

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
        before = self._shelf.changes
        found = self._ledger.claim(pools, worker)
        # Only news may wake the others: two idle claims would else wake each other for ever.
        if self._shelf.changes > before:
            self._changed.notify_all()
        return found

    async def renew(self, claim: Claim) -> Standing:
        return await self._write(lambda: self._ledger.renew(claim))

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        return await self._write(lambda: self._ledger.progress(claim, step, num_steps))

    async def show(self, claim: Claim, preview: Preview) -> Standing:
        return await self._write(lambda: self._ledger.show(claim, preview))

    async def checkpoint(self, claim: Claim, ref: ArtifactRef, step: int) -> Standing:
        return await self._write(lambda: self._ledger.checkpoint(claim, ref, step))

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        """As the protocol says. Raises `StageFailed`, and writes nothing, if an output that the plan reads is missing."""
        return await self._write(lambda: self._ledger.complete(claim, completion))

    async def fail(self, claim: Claim, error: dict[str, object], *, retry: bool) -> Standing:
        return await self._write(lambda: self._ledger.fail(claim, error, retry=retry))

    async def release(self, claim: Claim) -> Standing:
        """As the protocol says; the task goes before all others of its tenant."""
        return await self._write(lambda: self._ledger.release(claim))

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        self._ledger.roster.announce(worker, pools, seconds)

    async def pools(self) -> dict[str, PoolStatus]:
        workers, pools = self._ledger.roster.workers(), dict(self._ledger.pools)
        return {
            name: PoolStatus(
                waiting=len(pools[name].line) if name in pools else 0,
                running=len(pools[name].held) if name in pools else 0,
                workers=workers[name],
            )
            for name in sorted({*pools, *workers})
        }

    async def rates(self) -> dict[str, ServiceRate]:
        return {name: pool.rate for name, pool in sorted(self._ledger.pools.items()) if pool.served}

    async def incidents(self) -> Incidents:
        return self._ledger.pools.incidents(sum(map(is_dead, self._shelf.jobs.values())))

    async def signals(self) -> AsyncGenerator[Signal, None]:
        """What running work is told, since the first item was asked for: of jobs that ended while somebody was at work on
        them, or were cancelled, and of tasks that are to be handed back.
        """
        told = len(self._ledger.signals)
        while True:
            yield await self._signal(told)
            told += 1

    async def _signal(self, number: int) -> Signal:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._ledger.signals) > number)
            return self._ledger.signals[number]
