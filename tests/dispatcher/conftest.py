from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from orrery.jobs.deliveries import Deliveries, MemoryDeliveries, RedisDeliveries
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.redis import RedisJobs
from valkeys import own_valkey


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with own_valkey() as url:
        yield url


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server."""
    async with Redis.from_url(server_url, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture(params=["memory", "redis"])
def jobs(request: pytest.FixtureRequest) -> MemoryJobs | RedisJobs:
    return MemoryJobs() if request.param == "memory" else RedisJobs(request.getfixturevalue("client"))


@pytest.fixture
def deliveries(request: pytest.FixtureRequest, jobs: MemoryJobs | RedisJobs) -> Deliveries:
    """Beside the jobs."""
    return MemoryDeliveries() if isinstance(jobs, MemoryJobs) else RedisDeliveries(request.getfixturevalue("client"))


@pytest.fixture
def forgetful(client: Redis) -> RedisJobs:
    """Keeps a hundred events or so."""
    return RedisJobs(client, events_kept=100)
