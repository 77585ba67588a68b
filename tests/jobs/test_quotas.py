"""What keys have used: in memory and on a real server alike."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from orrery.jobs.quotas import MemoryQuotas, Quotas, RedisQuotas
from orrery.worlds.errors import StoreUnavailable

LONG = 10**9
"""A window that does not end while a test runs."""


@dataclass(frozen=True)
class Limits:
    window_seconds: int = LONG
    jobs: int | None = None
    concurrent: int | None = None
    device_seconds: float | None = None


@pytest.fixture(params=["memory", "redis"])
def quotas(request: pytest.FixtureRequest) -> Quotas:
    if request.param == "memory":
        return MemoryQuotas()
    return RedisQuotas(request.getfixturevalue("client"))


async def reserve(quotas: Quotas, limits: Limits, *jobs: str, key: str = "k") -> list[str | None]:
    """The limit that each met."""
    met = [await quotas.reserve(key, job, limits) for job in jobs]
    return [used_up and used_up.name for used_up in met]


async def test_jobs_of_a_window(quotas: Quotas) -> None:
    limits = Limits(jobs=2)
    assert await reserve(quotas, limits, "a", "b", "c") == [None, None, "jobs"]
    assert await reserve(quotas, limits, "a", key="other") == [None]
    used_up = await quotas.reserve("k", "d", limits)
    assert used_up is not None
    assert 0 < used_up.retry_after <= LONG
    assert await quotas.live("k") == {}  # a count needs no names


async def test_jobs_at_a_time(quotas: Quotas) -> None:
    limits = Limits(concurrent=2)
    assert await reserve(quotas, limits, "a", "b", "c") == [None, None, "concurrent"]
    live = await quotas.live("k")
    assert sorted(live) == ["a", "b"]
    assert all(0 <= seconds < 60 for seconds in live.values())
    await quotas.settle("k", "a", 1.0, limits)
    await quotas.settle("k", "a", 1.0, limits)
    assert await reserve(quotas, limits, "c", "d") == [None, "concurrent"]


async def test_seconds_of_devices_count_once(quotas: Quotas) -> None:
    limits = Limits(device_seconds=2.5)
    assert await reserve(quotas, limits, "a", "b") == [None, None]
    for _ in range(3):
        await quotas.settle("k", "a", 1.5, limits)
    assert await reserve(quotas, limits, "c") == [None]
    await quotas.settle("k", "b", 1.0, limits)
    assert await reserve(quotas, limits, "d") == ["device_seconds"]
    await quotas.settle("k", "never counted", 9.0, limits)
    assert list(await quotas.live("k")) == ["c"]


async def test_what_never_came_to_be_costs_nothing(quotas: Quotas) -> None:
    limits = Limits(jobs=1, concurrent=1)
    for _ in range(3):
        assert await reserve(quotas, limits, "a") == [None]
        await quotas.release("k", "a", limits)
    assert await reserve(quotas, limits, "a", "b") == [None, "jobs"]


async def test_the_next_window_begins_anew() -> None:
    now = [1000.0]
    quotas = MemoryQuotas(lambda: now[0])
    limits = Limits(window_seconds=60, jobs=1)
    assert await reserve(quotas, limits, "a", "b") == [None, "jobs"]
    used_up = await quotas.reserve("k", "b", limits)
    assert used_up is not None
    now[0] += used_up.retry_after
    assert await reserve(quotas, limits, "b") == [None]


async def test_a_window_of_a_server_ends(client: Redis) -> None:
    quotas, limits = RedisQuotas(client), Limits(window_seconds=1, jobs=1)
    while await reserve(quotas, limits, "a", "b") != [None, "jobs"]:  # the window may end between the two
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.1)
    assert await reserve(quotas, limits, "c") == [None]
    assert all([await client.ttl(name) in (-2, 0, 1, 2) async for name in client.scan_iter("*:1:*")])  # -2 is gone


async def test_many_gateways_together_keep_a_quota(client: Redis) -> None:
    gateways = [RedisQuotas(client) for _ in range(4)]
    met = await asyncio.gather(*(g.reserve("k", f"{n}-{k}", Limits(jobs=5)) for n, g in enumerate(gateways) for k in range(5)))
    assert met.count(None) == 5


async def test_a_server_that_is_away_has_a_name() -> None:
    quotas = RedisQuotas.connect("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        await quotas.live("k")
    await quotas.aclose()
