"""Commands of the same moment are sent together, over one connection of the client's pool."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

Word = str | int | float


class _Asked(NamedTuple):
    command: bytes
    reply: asyncio.Future[Any]


class Calls:
    """What a client costs beside its commands (a connection, a write, a wait) is spent once for all that come at a time.

    Connections, how they are made and for how long they are waited for are the client's; so is how often a command is tried
    again whose connection broke.
    """

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._asked: deque[_Asked] = deque()
        self._sending: set[asyncio.Task[None]] = set()

    async def __call__(self, *words: Word) -> Any:
        """The server's reply. One who gives up leaves the replies of the others where they are. Raises redis-py's errors."""
        packed = pack_command(words)  # type: ignore[arg-type]  # its types say a tuple of one word
        asked = _Asked(packed, asyncio.get_running_loop().create_future())
        if not self._asked:
            # For all who ask until it begins: whoever is the first is not whose work it is.
            sending = asyncio.create_task(self._send(), context=Context())
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
        self._asked.append(asked)
        return await asked.reply

    async def _send(self) -> None:
        asked, self._asked = self._asked, deque()
        try:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.retry.call_with_retry(partial(_exchange, connection, asked), partial(_drop, connection))
            finally:
                await self._pool.release(connection)
        except Exception as error:
            for _, reply in asked:
                if not reply.cancelled():
                    reply.set_exception(error)


async def _exchange(connection: AbstractConnection, asked: deque[_Asked]) -> None:
    """Takes out of `asked` what is answered; replies come in the order of the commands."""
    await connection.send_packed_command([command for command, _ in asked])
    while asked:
        answer = await _reply(connection)
        _, reply = asked.popleft()
        if reply.cancelled():
            continue
        if isinstance(answer, ResponseError):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)


async def _reply(connection: AbstractConnection) -> Any:
    """A command that the server refuses is one command's own failure."""
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal


async def _drop(connection: AbstractConnection, _error: Exception) -> None:
    await connection.disconnect()
