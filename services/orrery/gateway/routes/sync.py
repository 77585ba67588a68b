"""`/v1/videos/sync`: the answer to the request is the file."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request, Response

from orrery.gateway.context import Context, Gateway
from orrery.gateway.errors import GenerationTimeout
from orrery.gateway.routes.content import content
from orrery.gateway.routes.videos import REPLAYED, take
from orrery.gateway.submitting import Taken
from orrery.gateway.waiting import CLIENT_GONE, all_completed, first_of, until_disconnect
from orrery.jobs.records import Job
from orrery.worlds.errors import OrreryError

router = APIRouter(prefix="/v1/videos")

CancelOnDisconnect = Annotated[Literal["true", "false"] | None, Header(alias="X-Orrery-Cancel-On-Disconnect")]


@router.post("/sync")
async def create_and_wait(request: Request, gateway: Context, cancel_on_disconnect: CancelOnDisconnect = None) -> Response:
    """Takes a job and waits for its file.

    A client that leaves, or waited too long, cancels the job unless it said otherwise. A job that has a key of the client's
    goes on unless it said so: the key is there to ask for it again.
    """
    taken = await take(request, gateway)
    leaving_cancels = cancel_on_disconnect == "true" or (cancel_on_disconnect is None and taken.terms.key is None)
    try:
        job = await _wait(gateway, request, taken.job)
    except OrreryError as error:
        if leaving_cancels and isinstance(error, GenerationTimeout):
            await gateway.jobs.cancel(taken.job.id)
        raise
    if job is None:
        if leaving_cancels:
            await gateway.jobs.cancel(taken.job.id)
        return Response(status_code=CLIENT_GONE)
    return await _file(gateway, request, taken, job)


async def _wait(gateway: Gateway, request: Request, job: Job) -> Job | None:
    """The completed job, or None if the client has gone. Raises `GenerationTimeout`, or the job's own error."""
    limit = gateway.settings.generation_timeout_seconds
    waiting = asyncio.ensure_future(all_completed(gateway.jobs, [job]))
    done = await first_of(waiting, until_disconnect(request), seconds=limit)
    if done is None:
        raise GenerationTimeout(f"job {job.id} was not ready within {limit:g} seconds")
    return waiting.result()[0] if done is waiting else None


async def _file(gateway: Gateway, request: Request, taken: Taken, job: Job) -> Response:
    answer = await content(gateway, request, job.id)
    answer.headers["X-Orrery-Job"] = job.id
    answer.headers["X-Orrery-Seed"] = str(job.request["seed"])
    answer.headers["X-Orrery-Seconds"] = f"{(job.finished_at or job.created_at) - job.created_at:.3f}"
    if taken.replayed:
        answer.headers[REPLAYED] = "true"
    return answer
