"""Random walks through both stores; see `walk.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from redis.asyncio import Redis

from jobs.ledger import TERMS
from jobs.setting import LEASE, Clock, Setting, expire_leases
from jobs.walk import Walk
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.redis import RedisJobs


class WalkInMemory(Walk):
    """A clock that jumps, backwards too."""

    @rule(seconds=st.sampled_from([-1e6, -3600.0, -1.0, LEASE / 2, 3600.0]))
    def jump(self, seconds: float) -> None:
        self.run(self.setting.wait(seconds))
        self.lapsed = set(self.owners)

    def teardown(self) -> None:
        """Leases that were given before the clock was put back end with it."""
        self.run(self.setting.wait(1e9))
        super().teardown()


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
