"""What one gateway counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from orrery.gateway.edge.noting import NotedSend, route_of
from orrery.gateway.following import ENDS
from orrery.jobs.gauges import PoolGauges
from orrery.telemetry.instruments import SLOW, Instruments
from orrery.worlds.errors import OrreryError

ETA_BUCKETS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""A client may call its method what it likes, and each name would be a series of its own."""


@dataclass(frozen=True)
class Metrics:
    """Jobs are counted as submitted by the gateway that took them, as ended by every gateway that runs at that time."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    grpc_calls: Counter
    submitted: Counter
    refused: Counter
    decoding: Histogram
    ended: Counter
    failed: Counter
    job_seconds: Histogram
    eta_error: Histogram
    pools: PoolGauges = field(default_factory=PoolGauges)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Counts the typed error with which a request for a job ends."""
        try:
            yield
        except OrreryError as error:
            self.refused.labels(error.code).inc()
            raise


def new_metrics(instruments: Instruments | None = None) -> Metrics:
    """Made with the instruments of the process, or with some of its own."""
    made = instruments or Instruments()
    every = "of the whole store, while this gateway ran"
    metrics = Metrics(
        registry=made.registry,
        requests=made.counter("http_requests", "HTTP requests by their outcome", "method", "route", "status"),
        seconds=made.histogram("http_request_seconds", "From a request's head to its last byte", "method", "route"),
        grpc_calls=made.counter("grpc_calls", "gRPC calls by their outcome", "method", "code"),
        submitted=made.counter("jobs_submitted", "Jobs that this gateway took", "model", "workflow"),
        refused=made.counter("submit_rejections", "Requests for a job whose body was read and that were refused", "code"),
        decoding=made.histogram("upload_decode_seconds", "Decoding one upload and storing it, and waiting for a decoder"),
        ended=made.counter("jobs_ended", f"Jobs that ended, {every}", "state", known=ENDS.values()),
        failed=made.counter("jobs_failed", f"Jobs that failed by the code of their error, {every}", "code"),
        job_seconds=made.histogram("job_seconds", f"From submission to completion, {every}", "model", "workflow", buckets=SLOW),
        eta_error=made.histogram(
            "eta_error_ratio",
            "Of completed jobs that this gateway took: how far the time it told was from the time taken, as a share of it",
            buckets=ETA_BUCKETS,
        ),
    )
    made.collect(metrics.pools)
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
        noted = NotedSend(send)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, noted)
        finally:
            self._record(scope, noted.status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
