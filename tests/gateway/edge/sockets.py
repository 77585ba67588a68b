"""A client that sends bytes as they are, for what no library would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi import FastAPI

from gateway.served import listening
from orrery.gateway.edge.patience import head_in_time

SECONDS = 15.0


@dataclass(frozen=True)
class RawAnswer:
    """`status` None: there was none. `closed`: the server hung up."""

    status: int | None
    body: bytes
    closed: bool

    @property
    def code(self) -> str | None:
        """Of a typed error."""
        try:
            return str(json.loads(self.body)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Raw:
    port: int

    async def exchange(self, data: str | bytes, *, dripping: bytes = b"", pause: float = 0.0) -> RawAnswer:
        """Sends `data`, then `dripping` again and again; reads until the server hangs up. Raises `TimeoutError`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writing = asyncio.create_task(_write(writer, data.encode() if isinstance(data, str) else data, dripping, pause))
        try:
            async with asyncio.timeout(SECONDS):
                got = await _all(reader)
        finally:
            writing.cancel()
            writer.close()
            with suppress(asyncio.CancelledError, ConnectionError):
                await writing
            with suppress(ConnectionError):
                await writer.wait_closed()
        return _parsed(got)


async def _write(writer: asyncio.StreamWriter, data: bytes, dripping: bytes, pause: float) -> None:
    with suppress(ConnectionError):
        writer.write(data)
        await writer.drain()
        while dripping:
            await asyncio.sleep(pause)
            writer.write(dripping)
            await writer.drain()


async def _all(reader: asyncio.StreamReader) -> bytes:
    got = b""
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            got += part
    return got


def _parsed(got: bytes) -> RawAnswer:
    head, _, body = got.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else None
    return RawAnswer(status, body, closed=True)


@asynccontextmanager
async def raw(app: FastAPI, *, head_seconds: float) -> AsyncIterator[Raw]:
    """The app behind the protocol that the gateway's process has."""
    async with listening(app, timeout_keep_alive=1, http=head_in_time(head_seconds)) as port:
        yield Raw(port)
