"""`/v1/videos:estimate`: the body of a video, and what it would take."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from orrery.gateway.body import read_body
from orrery.gateway.context import Context
from orrery.gateway.estimating import estimate
from orrery.gateway.terms import read_terms

router = APIRouter(prefix="/v1")


@router.post("/videos:estimate")
async def create_estimate(request: Request, gateway: Context) -> Response:
    """Validates a body as `POST /v1/videos` does and tells what it would take; nothing is submitted or stored."""
    async with read_body(request, gateway.settings) as body:
        terms = read_terms(request.headers, dict(body.values), gateway.settings, form=body.form)
        return JSONResponse(await estimate(gateway, body.values, terms, form=body.form))
