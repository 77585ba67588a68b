"""Clients that take their time: with a body here, with the head of a request in the protocol below HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import h11
from starlette.types import Message, Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from orrery.gateway.edge.errors import RequestTooSlow
from orrery.gateway.edge.gathering import Gathered
from orrery.gateway.edge.settings import EdgeSettings


def has_body(scope: Scope) -> bool:
    """Whether the head announces one."""
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


class PatientReceive:
    """An ASGI `receive` that raises `RequestTooSlow` where a body does not come. `expected` says that there is one."""

    def __init__(self, receive: Receive, settings: EdgeSettings, *, expected: bool) -> None:
        self._receive = receive
        self._settings = settings
        self._deadline: float | None = None
        self.complete = not expected
        """Whether all of the body has been read."""

    async def __call__(self) -> Message:
        if self.complete:
            return await self._receive()
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._settings.body_seconds
        try:
            async with asyncio.timeout(min(self._settings.body_idle_seconds, self._deadline - now)):
                message = await self._receive()
        except TimeoutError:
            allowed = f"a pause of {self._settings.body_idle_seconds:g} seconds, {self._settings.body_seconds:g} in all"
            raise RequestTooSlow("the body did not come in time", allowed=allowed) from None
        self.complete = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message


class HeadInTime(H11Protocol):
    """Uvicorn's protocol, which waits for the rest of a head for ever; this one closes the connection."""

    head_seconds: float
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathered(transport, self.loop))
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None and self.conn.trailing_data[0]:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def head_in_time(seconds: float) -> type[Any]:
    """The protocol for `uvicorn.Config(http=...)` with its time."""
    return type("HeadInTime", (HeadInTime,), {"head_seconds": seconds})
