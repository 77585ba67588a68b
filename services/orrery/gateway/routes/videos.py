"""`/v1/videos`: worlds as OpenAI's videos."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from orrery.gateway.body import read_body
from orrery.gateway.context import Context, Gateway, gateway_of
from orrery.gateway.forecast import Forecast
from orrery.gateway.routes.direct import DirectRoute
from orrery.gateway.submitting import JOB_ID_PREFIX, Taken
from orrery.gateway.taking import take_body
from orrery.gateway.terms import read_terms
from orrery.gateway.views import page_view
from orrery.jobs.records import Job
from orrery.worlds.errors import JobNotFound

router = APIRouter(prefix="/v1/videos")
hot = APIRouter(prefix="/v1/videos", route_class=DirectRoute)
"""What clients ask for most."""

POLL_AFTER = "openai-poll-after-ms"
REPLAYED = "Idempotent-Replayed"
_JOB_ID = re.compile(JOB_ID_PREFIX + "[0-9a-f]{32}")


@hot.post("", status_code=202)
async def create(request: Request) -> Response:
    """Takes a job. Every check comes before anything is stored."""
    gateway = gateway_of(request)
    return await accepted(gateway, await take(request, gateway))


async def accepted(gateway: Gateway, taken: Taken) -> Response:
    """The answer to every request that makes a job."""
    forecast = await gateway.forecaster.forecast_at(taken.job, taken.position)
    if not taken.replayed:
        gateway.forecaster.promise(taken.job, forecast)
    headers = {REPLAYED: "true"} if taken.replayed else {}
    return _answer(gateway, taken.job, forecast, status_code=202, headers=headers)


async def take(request: Request, gateway: Gateway) -> Taken:
    """The job that a request asks for: a new one, or the one that its key stands for."""
    async with read_body(request, gateway.settings) as body:
        terms = read_terms(request.headers, dict(body.values), gateway.settings, form=body.form)
        return await take_body(gateway, body.values, terms, form=body.form)


@router.get("")
async def listing(
    gateway: Context,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """Jobs by creation, after the job `after`."""
    cursor = None if after is None else checked_id(after)
    page = await gateway.jobs.list(after=cursor, limit=limit, order=order)
    return JSONResponse(page_view(page, await gateway.forecaster.forecasts(page.jobs)))


@hot.get("/{job_id}")
async def read(request: Request, job_id: str) -> Response:
    """The job as it stands."""
    gateway = gateway_of(request)
    job, position = await gateway.jobs.look(checked_id(job_id))
    return _answer(gateway, job, await gateway.forecaster.forecast_at(job, position))


@router.post("/{job_id}/cancel")
async def cancel(gateway: Context, job_id: str) -> Response:
    """Ends the job; one that has ended stays as it is."""
    return await _job_response(gateway, await gateway.jobs.cancel(checked_id(job_id)))


@router.post("/{job_id}/requeue")
async def requeue(gateway: Context, job_id: str) -> Response:
    """Gives a dead job fresh attempts; any other stays as it is."""
    return await _job_response(gateway, await gateway.jobs.requeue(checked_id(job_id)))


@router.delete("/{job_id}")
async def delete(gateway: Context, job_id: str) -> Response:
    """Cancels the job if it has not ended, and forgets it."""
    job = await gateway.jobs.delete(checked_id(job_id))
    return JSONResponse({"id": job.id, "object": "video.deleted", "deleted": True})


def checked_id(job_id: str) -> str:
    """Raises `JobNotFound` for what no job is called, before it becomes part of a key."""
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound(f"there is no job {job_id[:80]!r}")
    return job_id


async def _job_response(gateway: Gateway, job: Job) -> Response:
    return _answer(gateway, job, await gateway.forecaster.forecast(job))


def _answer(
    gateway: Gateway, job: Job, forecast: Forecast, *, status_code: int = 200, headers: dict[str, str] | None = None
) -> Response:
    polling = {} if job.state.ended else {POLL_AFTER: str(gateway.settings.poll_after_ms)}
    body = gateway.rendering.job(job, forecast)
    return Response(body, status_code, headers=polling | (headers or {}), media_type="application/json")
