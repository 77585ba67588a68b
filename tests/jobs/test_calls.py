"""Commands that are sent together: each has its own reply, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobs.setting import free_port
from orrery.jobs.calls import Calls

ONCE = Retry(NoBackoff(), 0)


@pytest.fixture
async def pooled(server_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server that counts what it sends."""
    pool = BlockingConnectionPool.from_url(server_url, max_connections=4, timeout=9, decode_responses=True, socket_timeout=9)
    async with Redis.from_pool(pool) as client:
        await client.flushall()
        yield client


async def test_calls_of_the_same_moment_go_over_one_connection(pooled: Redis) -> None:
    call = Calls(pooled)
    ids = await asyncio.gather(*(call("CLIENT", "ID") for _ in range(50)))
    assert len(set(ids)) == 1
    assert await asyncio.gather(*(call("INCR", "n") for _ in range(50))) == list(range(1, 51))


async def test_a_word_may_be_a_number(pooled: Redis) -> None:
    call = Calls(pooled)
    await call("HSET", "hash", "ü", 1.5, "n", 7)
    assert await call("HGETALL", "hash") in ({"ü": "1.5", "n": "7"}, ["ü", "1.5", "n", "7"])


async def test_a_refused_command_is_nobody_elses_failure(pooled: Redis) -> None:
    call = Calls(pooled)
    found = await asyncio.gather(call("SET", "k", "v"), call("INCR", "k"), call("GET", "k"), return_exceptions=True)
    assert (found[0], found[2]) == ("OK", "v")
    assert isinstance(found[1], exceptions.ResponseError)


async def test_what_cannot_be_sent_is_nobody_elses_failure(pooled: Redis) -> None:
    call = Calls(pooled)
    found = await asyncio.gather(call("SET", "k", "\ud800"), call("PING"), return_exceptions=True)
    assert isinstance(found[0], UnicodeEncodeError)
    assert found[1] == "PONG"


async def test_one_who_gives_up_moves_no_reply(pooled: Redis) -> None:
    """Before the commands are sent, and while they are answered."""
    call = Calls(pooled)
    for pause in (None, 0.0, 0.001, 0.01):
        asked = [asyncio.create_task(call("EVAL", f"for i = 1, 20000 do end return {n}", 0)) for n in range(40)]
        if pause is not None:
            await asyncio.sleep(pause)
        for task in asked[::3]:
            task.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        for n, answer in enumerate(found):
            assert answer == n or (n % 3 == 0 and isinstance(answer, asyncio.CancelledError))
        assert await asyncio.gather(call("ECHO", "a"), call("ECHO", "b")) == ["a", "b"]


async def test_all_are_told_of_a_server_that_is_not_there() -> None:
    async with Redis.from_url(f"redis://127.0.0.1:{free_port()}", decode_responses=True, retry=ONCE) as client:
        call = Calls(client)
        for error in await asyncio.gather(call("PING"), call("PING"), return_exceptions=True):
            assert isinstance(error, exceptions.ConnectionError)


async def test_a_server_that_does_not_answer_is_not_waited_for(pooled: Redis, server_url: str) -> None:
    async with Redis.from_url(server_url, decode_responses=True, socket_timeout=0.5, retry=ONCE) as client:
        call = Calls(client)
        await call("PING")
        await pooled.client_pause(1500, all=True)
        for error in await asyncio.gather(call("PING"), call("PING"), return_exceptions=True):
            assert isinstance(error, exceptions.TimeoutError)
        await pooled.ping()
        assert await asyncio.gather(call("ECHO", "late"), call("PING")) == ["late", "PONG"]


class Cutting:
    """A relay to a server that ends its first connection after `bytes_passed` bytes of answers."""

    def __init__(self, url: str, bytes_passed: int) -> None:
        self._host, _, port = url.rpartition("//")[2].rpartition(":")
        self._target = int(port)
        self._left = bytes_passed
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        upstream, downstream = await asyncio.open_connection(self._host or "127.0.0.1", self._target)
        first = self.connections == 1
        try:
            await asyncio.gather(_pass_on(reader, downstream), self._back(upstream, writer, first=first))
        finally:
            writer.close()
            downstream.close()

    async def _back(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, *, first: bool) -> None:
        while data := await upstream.read(4096):
            if first and len(data) > self._left:
                writer.write(data[: self._left])
                await writer.drain()
                writer.close()
                return
            if first:
                self._left -= len(data)
            writer.write(data)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("passed", [400, 1000, 3000])
async def test_only_what_was_not_answered_is_asked_again(server_url: str, passed: int) -> None:
    """By a client that tries again: the connection that broke is made again, and the rest is sent over it."""
    relay = Cutting(server_url, passed)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 1)) as client:
        call = Calls(client)
        words: list[Any] = [f"{n:03d}" * 20 for n in range(60)]
        assert await asyncio.gather(*(call("ECHO", word) for word in words)) == words
        assert relay.connections == 2
