"""Health and metrics: for machines that run the gateway."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from orrery.gateway.context import Context
from orrery.gateway.edge.callers import ADMIN
from orrery.gateway.readiness import unserved
from orrery.worlds.errors import StoreUnavailable

router = APIRouter()


@router.get("/health/live")
async def live() -> Response:
    """200 while the gateway answers."""
    return JSONResponse({"status": "live"})


@router.get("/health/ready")
async def ready(gateway: Context) -> Response:
    """200 when a job of the default model would be worked on, whatever its workflow."""
    model = gateway.model(None)
    try:
        missing = unserved(model, await gateway.jobs.pools())
    except StoreUnavailable:
        return JSONResponse({"status": "not ready", "job_store": False, "model": model.name, "missing": []}, status_code=503)
    status = {"job_store": True, "model": model.name, "missing": missing}
    return JSONResponse({"status": "not ready" if missing else "ready"} | status, status_code=503 if missing else 200)


@router.get("/metrics", dependencies=[ADMIN])
async def metrics(gateway: Context) -> Response:
    """Prometheus' text format; the pools are read for this answer."""
    try:
        gateway.metrics.pools.update(await gateway.jobs.pools())
    except StoreUnavailable:
        gateway.metrics.pools.lost()
    return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)
