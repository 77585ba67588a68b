"""What one gateway counts, in a registry of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orrery.jobs.gauges import PoolGauges

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
ETA_BUCKETS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)
UNMATCHED = "unmatched"


@dataclass(frozen=True)
class Metrics:
    """Jobs are counted as submitted by the gateway that took them, as ended by every gateway that runs at that time."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    submitted: Counter
    ended: Counter
    eta_error: Histogram
    pools: PoolGauges = field(default_factory=PoolGauges)


def new_metrics() -> Metrics:
    registry = CollectorRegistry()
    requests = Counter(
        "orrery_http_requests", "HTTP requests by their outcome", ["method", "route", "status"], registry=registry
    )
    seconds = Histogram(
        "orrery_http_request_seconds", "Time to the last byte", ["method", "route"], buckets=BUCKETS, registry=registry
    )
    submitted = Counter("orrery_jobs_submitted", "Jobs that this gateway took", ["model", "workflow"], registry=registry)
    ended = Counter(
        "orrery_jobs_ended", "Jobs of the whole store that ended while this gateway ran", ["state"], registry=registry
    )
    eta_error = Histogram(
        "orrery_eta_error_ratio",
        "Of completed jobs that this gateway took: how far the time it told then was from the time it took, as a share of it",
        buckets=ETA_BUCKETS,
        registry=registry,
    )
    metrics = Metrics(registry, requests, seconds, submitted, ended, eta_error)
    registry.register(metrics.pools)
    return metrics


class MeasuredRequests:
    """ASGI middleware. Routes are counted by template: paths hold job ids, and each would be a series of its own."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # what an exception becomes outside of here

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, note)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        self._metrics.seconds.labels(scope["method"], route).observe(seconds)
