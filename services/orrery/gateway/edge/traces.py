"""A span for every request that changes something: the trace of a job begins here, or goes on from its client's."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orrery.gateway.edge.identity import QUIET
from orrery.gateway.edge.noting import NotedSend, route_of
from orrery.telemetry.logs import REQUEST_ID
from orrery.telemetry.tracing import TRACEPARENT, Attributes, Kind, Tracing


class TracedRequests:
    """ASGI middleware, inside of `NamedRequests`. Takes the client's `traceparent`; polls and downloads have no spans."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in QUIET:
            await self._app(scope, receive, send)
            return
        noted = NotedSend(send)
        parent = Headers(scope=scope).get(TRACEPARENT)
        with self._tracing.span(scope["method"], kind=Kind.SERVER, parent=parent) as span:
            await self._app(scope, receive, noted)
            span.set(_attributes(scope, noted.status), f"{scope['method']} {route_of(scope)}")
            if noted.status >= 500:
                span.failed(str(noted.status))


def _attributes(scope: Scope, status: int) -> Attributes:
    """As OpenTelemetry names them. No query and no body: both are the client's."""
    return {
        "http.request.method": scope["method"],
        "http.route": route_of(scope),
        "http.response.status_code": status,
        "orrery.request.id": REQUEST_ID.get() or "",
    }
