"""What every middleware that tells of requests wants to know of one: its route, and how it was answered."""

from __future__ import annotations

from starlette.types import Message, Scope, Send

UNMATCHED = "unmatched"
"""The route of a request that no route takes."""


class NotedSend:
    """An ASGI `send` that passes every message on and keeps the status of the answer.

    `status` is 500 until an answer has begun: what an exception becomes outside of the middleware.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def route_of(scope: Scope) -> str:
    """The template of the route that took the request, or `UNMATCHED`; known when the app has answered."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))
