"""Requests that wait: for jobs to end, or for the client to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from anyio import CancelScope
from fastapi import Request

from orrery.gateway.errors import JobCancelled
from orrery.jobs import cancelling
from orrery.jobs.records import Job, JobState
from orrery.jobs.store import JobStore
from orrery.worlds.errors import from_dict


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


async def end(task: asyncio.Task[Any]) -> None:
    """Ends the task, whatever is cancelled meanwhile."""
    with CancelScope(shield=True):
        await cancelling.end(task)


async def until_disconnect(request: Request) -> None:
    """Returns when the client is gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
