"""A name for every request, in its answer and in every line that is logged on its way."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orrery.gateway.edge.noting import NotedSend, route_of
from orrery.telemetry.logs import REQUEST_ID

log = logging.getLogger(__name__)

HEADER = "X-Request-Id"
QUIET = frozenset({"GET", "HEAD", "OPTIONS"})
"""Only what changes something, or fails, is told in the log; polls would bury it. At the level DEBUG every request is."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class NamedRequests:
    """ASGI middleware. Takes the client's `X-Request-Id` if it is a plain word, else makes one. Logs no query and no body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _ID.fullmatch(given) else uuid.uuid4().hex
        noted = NotedSend(send)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (HEADER.lower().encode(), name.encode())]}
            await noted(message)

        token = REQUEST_ID.set(name)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, named)
        finally:
            _tell(scope, noted.status, time.perf_counter() - started)
            REQUEST_ID.reset(token)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    level = logging.DEBUG if scope["method"] in QUIET and status < 400 else logging.INFO
    if not log.isEnabledFor(level):
        return
    route = route_of(scope)
    key = scope.get("state", {}).get("key")
    who = {"key": key.id, "tenant": key.tenant} if key else {}
    extra = {"method": scope["method"], "route": route, "status": status, "seconds": round(seconds, 4)} | who
    log.log(level, "%s %s %d", scope["method"], route, status, extra=extra)
