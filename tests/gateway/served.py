"""The app behind a real socket: for what only shows there, like answers without end and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.rig import eventually
from orrery.gateway.waiting import end


class _Server(uvicorn.Server):
    """Ends when it is told, not when it looks again. Signals are the test's own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.told.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(app: ASGIApp, **options: Any) -> AsyncIterator[int]:
    """The port of the app, which runs with its lifespan; `options` are uvicorn's."""
    server = _Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1, **options))
    serving = asyncio.create_task(server.serve())

    async def port() -> int:
        return server.servers[0].sockets[0].getsockname()[1] if server.started else 0

    try:
        yield await eventually(port)
    finally:
        server.told.set()
        await serving


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app."""
    async with (
        listening(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client,
    ):
        yield client


async def lines_of(answer: httpx.Response, count: int) -> list[str]:
    """The first lines that are not empty."""
    found: list[str] = []
    async for line in answer.aiter_lines():
        if line:
            found.append(line)
        if len(found) == count:
            break
    return found


class Brief:
    """An app whose stream at `path` ends after its first piece, for those who wait for the whole of an answer."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        told = asyncio.Event()

        async def once(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not told.is_set():
                await send({**message, "more_body": False})
                told.set()

        tasks = [asyncio.create_task(work) for work in (self._app(scope, receive, once), told.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await end(*tasks)
