"""Random walks through both stores; see `walk.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from jobs.setting import LEASE, Clock, Setting, expire_leases
from jobs.walk import TERMS, Walk, WalkInMemory
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.redis import RedisJobs


def walk(make: Callable[[], Walk], examples: int) -> None:
    limits = settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(make, settings=limits)


def test_walks_in_memory() -> None:
    with asyncio.Runner() as runner:

        def make() -> Walk:
            clock = Clock()

            async def expire() -> None:
                clock.now += LEASE

            async def jump(seconds: float) -> None:
                clock.now += seconds

            return WalkInMemory(Setting(MemoryJobs(clock=clock, **TERMS), expire, jump), runner.run)

        walk(make, examples=100)


def test_walks_on_redis(server_url: str) -> None:
    with asyncio.Runner() as runner:
        client = Redis.from_url(server_url, decode_responses=True)

        def make() -> Walk:
            runner.run(client.flushall())
            return Walk(Setting(RedisJobs(client, **TERMS), lambda: expire_leases(client), asyncio.sleep), runner.run)

        walk(make, examples=50)
        runner.run(client.aclose())
