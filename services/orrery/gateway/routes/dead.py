"""`/v1/jobs`: what an operator asks about jobs that came to nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from orrery.gateway.context import Context
from orrery.gateway.forecast import Forecast
from orrery.gateway.views import job_view

router = APIRouter(prefix="/v1/jobs")


@router.get("/dead")
async def dead(gateway: Context, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Response:
    """Jobs whose every attempt ended with its worker gone, the latest first."""
    return JSONResponse({"object": "list", "data": [job_view(job, Forecast()) for job in await gateway.jobs.dead(limit)]})
