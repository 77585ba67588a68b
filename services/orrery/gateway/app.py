"""The gateway as an ASGI app; everything it needs is handed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from orrery.gateway.batching.feeder import Feeder
from orrery.gateway.context import Gateway
from orrery.gateway.edge.fetching import url_kinds
from orrery.gateway.edge.identity import NamedRequests
from orrery.gateway.edge.installing import install_edge
from orrery.gateway.edge.owned import OwnedJobs
from orrery.gateway.edge.traces import TracedRequests
from orrery.gateway.errors import install_handlers
from orrery.gateway.following import ENDS, Following
from orrery.gateway.forecast import Forecaster, GatewayJobs
from orrery.gateway.metrics import MeasuredRequests, Metrics, new_metrics
from orrery.gateway.openapi.document import install_document
from orrery.gateway.references import DataUrls, References
from orrery.gateway.rendering import Rendering
from orrery.gateway.routes import (
    batches,
    content,
    dead,
    derived,
    estimates,
    events,
    files,
    images,
    models,
    nim,
    service,
    sync,
    videos,
    webhooks,
)
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.shelf import FileIds
from orrery.gateway.stores import Stores
from orrery.gateway.views import record_view
from orrery.gateway.waiting import end
from orrery.jobs.records import Event, JobState
from orrery.telemetry.process import Telemetry
from orrery.telemetry.tracing import UNTRACED
from orrery.worlds.errors import JobNotFound

ROUTERS = (
    videos.hot,
    videos.router,
    sync.router,
    derived.router,
    estimates.router,
    content.router,
    events.router,
    webhooks.router,
    images.router,
    files.router,
    batches.router,
    nim.router,
    dead.router,
    models.router,
    service.router,
)


def create_app(settings: GatewaySettings, stores: Stores, telemetry: Telemetry | None = None) -> FastAPI:
    """An app of its own: nothing is shared between two of them but the stores."""
    telemetry = telemetry or Telemetry()
    app = FastAPI(title="Orrery", lifespan=_lifespan, redirect_slashes=False)
    app.state.gateway = _gateway(settings, stores, telemetry)
    app.state.ring = install_edge(app, settings)
    app.state.feeder = Feeder(app.state.gateway, app.state.ring)
    if telemetry.tracing is not UNTRACED:
        app.add_middleware(TracedRequests, tracing=telemetry.tracing)
    app.add_middleware(MeasuredRequests, metrics=app.state.gateway.metrics)
    app.add_middleware(NamedRequests)
    install_handlers(app)
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    for router in ROUTERS:
        app.include_router(router)
    install_document(app, settings)
    return app


def _gateway(settings: GatewaySettings, stores: Stores, telemetry: Telemetry) -> Gateway:
    jobs, metrics, forecaster = stores.jobs, new_metrics(telemetry.instruments), Forecaster(stores.jobs)

    async def ended(event: Event) -> None:
        metrics.ended.labels(ENDS[event.type]).inc()
        if "error" in event.data:
            metrics.failed.labels(event.data["error"]["code"]).inc()
        await _learn(forecaster, jobs, metrics, event)

    return Gateway(
        settings=settings,
        jobs=OwnedJobs(jobs, stores.quotas, log_prompts=settings.log_prompts),
        artifacts=stores.artifacts,
        metrics=metrics,
        decoding=asyncio.Semaphore(settings.decode_threads),
        forecaster=forecaster,
        following=Following(jobs, forecaster.start, ended),
        deliveries=stores.deliveries,
        rendering=Rendering(record_view),
        files=stores.files,
        batches=stores.batches,
        tracing=telemetry.tracing,
        references=References((DataUrls(), FileIds(stores.files, stores.artifacts), *url_kinds(settings))),
    )


async def _learn(forecaster: Forecaster, jobs: GatewayJobs, metrics: Metrics, event: Event) -> None:
    try:
        job = await jobs.get(event.job_id)
    except JobNotFound:  # deleted since
        return
    forecaster.learn(job)
    if job.state is JobState.COMPLETED and job.finished_at is not None:
        metrics.job_seconds.labels(job.model, job.workflow).observe(job.finished_at - job.created_at)
    error = forecaster.error(job)
    if error is not None:
        metrics.eta_error.observe(error)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    chores = app.state.gateway.following.run(), app.state.feeder.run()
    running = [asyncio.create_task(chore) for chore in chores]
    try:
        yield
    finally:
        await end(*running)
