"""`/v1/models`: what is served, and what may be asked of it."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from orrery.gateway.context import Context
from orrery.gateway.views import model_view

router = APIRouter(prefix="/v1/models")


@router.get("")
async def listing(gateway: Context) -> Response:
    """Every model that is served, with what may be asked of it."""
    models = [model_view(gateway.model(name), gateway.settings) for name in gateway.settings.models]
    return JSONResponse({"object": "list", "data": models})


@router.get("/{name}")
async def read(gateway: Context, name: str) -> Response:
    """One model that is served, with what may be asked of it."""
    return JSONResponse(model_view(gateway.model(name), gateway.settings))
