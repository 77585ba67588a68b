"""Load that costs little itself: requests are written as they stand, answers are read by their length and not looked at."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HOST = b"Host: bench\r\n"


@dataclass
class Load:
    """What one round of requests came to. Times in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


def get(path: str) -> bytes:
    return b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def post(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST
    return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data


class Connection:
    """One kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of an answer that says its length."""
        status = await self.begin(request)
        return status, await self._reader.readexactly(self._length)

    async def begin(self, request: bytes) -> int:
        """The status of an answer whose body is still to come."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, _, after = head.lower().partition(b"content-length: ")
        self._length = int(after.partition(b"\r\n")[0] or 0)
        return int(head[9:12])

    async def until(self, text: bytes) -> None:
        """Reads on until `text` has come."""
        await self._reader.readuntil(text)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield connection
    finally:
        connection.close()


async def load(port: int, request: Callable[[], bytes], expected: int, *, connections: int, seconds: float) -> Load:
    """As many requests as are answered, with `connections` always waiting for one. Raises if any is answered otherwise."""
    made = Load()
    start = time.perf_counter()

    async def keep_asking() -> None:
        async with connected(port) as connection:
            while (asked := time.perf_counter()) - start < seconds:
                status, body = await connection.ask(request())
                if status != expected:
                    raise RuntimeError(f"{status} in place of {expected}: {body[:500]!r}")
                made.latencies.append(time.perf_counter() - asked)

    await asyncio.gather(*(keep_asking() for _ in range(connections)))
    made.seconds = time.perf_counter() - start
    return made
