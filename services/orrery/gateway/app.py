"""The gateway as an ASGI app; everything it needs is handed in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from orrery.artifacts import ArtifactStore
from orrery.gateway.context import Gateway, GatewayJobs
from orrery.gateway.errors import install_handlers
from orrery.gateway.metrics import MeasuredRequests, new_metrics
from orrery.gateway.routes import content, events, images, models, service, videos
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.waiting import end
from orrery.worlds.errors import StoreUnavailable

log = logging.getLogger(__name__)

ROUTERS = (videos.router, content.router, events.router, images.router, models.router, service.router)
RETRY_SECONDS = 5.0


def create_app(settings: GatewaySettings, jobs: GatewayJobs, artifacts: ArtifactStore) -> FastAPI:
    """An app of its own: nothing is shared between two of them but `jobs` and `artifacts`."""
    app = FastAPI(title="Orrery", lifespan=_lifespan, redirect_slashes=False)
    app.state.gateway = Gateway(settings, jobs, artifacts, new_metrics(), asyncio.Semaphore(settings.decode_threads))
    app.add_middleware(MeasuredRequests, metrics=app.state.gateway.metrics)
    install_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    counting = asyncio.create_task(_count_ended(app.state.gateway))
    try:
        yield
    finally:
        await end(counting)


async def _count_ended(gateway: Gateway) -> None:
    """Follows the store's events, over interruptions, from the last one seen."""
    started, seen = time.time(), "0"
    while True:
        try:
            async for event in gateway.jobs.events(after=seen):
                seen = event.id
                state = event.type.removeprefix("job.")
                if event.at >= started and state in ENDS:
                    gateway.metrics.ended.labels(state).inc()
        except StoreUnavailable as error:
            log.warning("%s", error.message)
            await asyncio.sleep(RETRY_SECONDS)


ENDS = frozenset({"completed", "failed", "cancelled"})
