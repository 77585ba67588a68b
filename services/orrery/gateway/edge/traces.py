"""A span for every request that changes something: the trace of a job begins here, or goes on from its client's."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orrery.gateway.edge.identity import QUIET
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
        status = 500  # what an exception becomes outside of here

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = Headers(scope=scope).get(TRACEPARENT)
        with self._tracing.span(scope["method"], kind=Kind.SERVER, parent=parent) as span:
            await self._app(scope, receive, note)
            span.set(_attributes(scope, status), f"{scope['method']} {_route(scope)}")
            if status >= 500:
                span.failed(str(status))


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _attributes(scope: Scope, status: int) -> Attributes:
    """As OpenTelemetry names them. No query and no body: both are the client's."""
    return {
        "http.request.method": scope["method"],
        "http.route": _route(scope),
        "http.response.status_code": status,
        "orrery.request.id": REQUEST_ID.get() or "",
    }
