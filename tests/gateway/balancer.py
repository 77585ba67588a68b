"""A balancer as the plainest there is: each connection goes to the next gateway, and is closed after one answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

CHUNK = 65536


class Balancer:
    """Round-robin over ports of this machine; `chosen` are those that connections went to, in order."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)
        self.chosen: list[int] = []
        self._turn = itertools.count()
        self._open: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._relay(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = await self._next()
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        self.chosen.append(port)
        ways = [asyncio.create_task(_pour(reader, to_writer)), asyncio.create_task(_pour(to_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _next(self) -> int:
        """The next gateway that takes connections."""
        for _ in range(len(self.ports)):
            port = self.ports[next(self._turn) % len(self.ports)]
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return port
        raise ConnectionError("no gateway takes connections")

    async def aclose(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def balanced(ports: Sequence[int]) -> AsyncIterator[tuple[Balancer, str]]:
    """A balancer and its URL."""
    balancer = Balancer(ports)
    server = await asyncio.start_server(balancer, "127.0.0.1", 0)
    try:
        yield balancer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await balancer.aclose()
        await server.wait_closed()
