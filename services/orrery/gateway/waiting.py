"""Requests that wait: for jobs to end, or for the client to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from anyio import CancelScope
from fastapi import Request

from orrery.jobs import cancelling
from orrery.jobs.records import Job, JobState
from orrery.jobs.store import JobStore
from orrery.worlds.errors import JobCancelled, from_dict

CLIENT_GONE = 499


async def all_completed(store: JobStore, jobs: Sequence[Job]) -> list[Job]:
    """The jobs' last records. Raises the first error of any of them; the others are then followed to their own end."""
    return await asyncio.gather(*(_completed(store, job.id) for job in jobs))


async def _completed(store: JobStore, job_id: str) -> Job:
    async for _ in store.events(job_id=job_id):
        pass  # it stops after the job's end
    job = await store.get(job_id)
    if job.state is JobState.CANCELLED:
        raise JobCancelled(f"job {job_id} was cancelled")
    if job.error is not None:
        raise from_dict(job.error)
    return job


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Ends the tasks, whatever is cancelled meanwhile."""
    with CancelScope(shield=True):
        await cancelling.end(*(task for task in tasks if isinstance(task, asyncio.Task)))


async def first_of(
    waiting: asyncio.Future[Any], leaving: Coroutine[Any, Any, None], *, seconds: float
) -> asyncio.Future[Any] | None:
    """Which of the two was first, the work if it was both; None if neither within `seconds`. What is left is ended."""
    left: asyncio.Future[Any] = asyncio.ensure_future(leaving)
    both: set[asyncio.Future[Any]] = {waiting, left}
    try:
        done, _ = await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*(task for task in both if not task.done()))
    return waiting if waiting in done else left if done else None


async def until_disconnect(request: Request) -> None:
    """Returns when the client is gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
