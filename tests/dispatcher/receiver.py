"""A receiver of webhooks behind a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from orrery.jobs.cancelling import end


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """Answers with the given statuses, the last one for ever; `pause` seconds late."""

    port: int = 0
    pause: float = 0.0
    location: str = ""
    calls: list[Call] = field(default_factory=list)
    statuses: Iterator[int] = field(default_factory=lambda: iter(()))
    last: int = 204
    open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=s3cret"

    def answers(self, statuses: Iterable[int], then: int) -> None:
        self.statuses, self.last = iter(statuses), then

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast(asyncio.Task[None], asyncio.current_task())
        self.open.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self.open.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.calls.append(Call(head[0].split(" ")[1], headers, body.decode()))
        await asyncio.sleep(self.pause)
        location = f"Location: {self.location}\r\n" if self.location else ""
        status = next(self.statuses, self.last)
        writer.write(f"HTTP/1.1 {status} X\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with await asyncio.start_server(receiver.handle, "127.0.0.1", 0) as server:
        receiver.port = server.sockets[0].getsockname()[1]
        try:
            yield receiver
        finally:
            await end(*receiver.open)
