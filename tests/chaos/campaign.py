"""One campaign: a fleet under attack, then the same orders on a calm fleet, and the comparison."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from redis.asyncio import Redis

from chaos.adversary import attack, schedule
from chaos.customers import Order, collect, contents, orders, submit_all
from chaos.fleet import LEASE_SECONDS, Fleet
from chaos.verdict import Verdict, judge
from orrery.jobs.keys import EVENTS
from orrery.jobs.records import Event
from orrery.jobs.redis import RedisJobs

Say = Callable[[str], None]


@dataclass(frozen=True)
class Campaign:
    """`duration` in seconds of attack; `jobs` are submitted evenly over nine tenths of it."""

    seed: int
    duration: float
    jobs: int
    home: Path
    models_dir: Path
    stages: int = 2
    settle: float = 180.0
    blow_every: float = 12.0

    async def run(self, say: Say) -> Verdict:
        attacked = orders(self.seed, self.jobs)
        found, events = await self._under_attack(attacked, say)
        say("the same orders in peace")
        calm = [replace(order, cancel_after=None, job_id=None, job=None) for order in attacked if order.number in found]
        expected = await self._in_peace(calm)
        wrong = sorted(number for number, video in found.items() if expected.get(number) != video)
        if wrong:
            say(f"other bytes than in peace: orders {wrong}")
        return judge(attacked, events, len(wrong))

    async def _under_attack(self, wanted: list[Order], say: Say) -> tuple[dict[int, bytes], list[Event]]:
        fleet = Fleet(self.home / "attacked", self.models_dir, stages=self.stages)
        blows = schedule(self.seed, self.duration, self.stages, every=self.blow_every)
        await fleet.start()
        try:
            await until_ready(fleet.url)
            say(f"ready; {len(blows)} blows and {len(wanted)} orders in {self.duration:.0f} s")
            rate = len(wanted) / (0.9 * self.duration)
            await asyncio.gather(submit_all(fleet.url, wanted, per_second=rate), attack(fleet, blows, say))
            say("the attack is over; waiting for what was accepted")
            await collect(fleet.url, wanted, patience=self.settle)
            return await contents(fleet.url, wanted), await history(fleet.valkey_port)
        finally:
            await fleet.stop()

    async def _in_peace(self, wanted: list[Order]) -> dict[int, bytes]:
        fleet = Fleet(self.home / "calm", self.models_dir, stages=1)
        await fleet.start()
        try:
            await until_ready(fleet.url)
            await submit_all(fleet.url, wanted, per_second=10)
            await collect(fleet.url, wanted, patience=self.settle)
            return await contents(fleet.url, wanted)
        finally:
            await fleet.stop()


async def until_ready(url: str, *, seconds: float = 180.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while asyncio.get_running_loop().time() < deadline:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
    raise TimeoutError(f"{url} was not ready within {seconds:.0f} s")


async def history(valkey_port: int) -> list[Event]:
    """Every event so far, oldest first."""
    url = f"redis://127.0.0.1:{valkey_port}/0"
    async with Redis.from_url(url, decode_responses=True) as client:
        ((newest, _),) = await client.xrevrange(EVENTS, count=1)
    jobs = RedisJobs.connect(url, lease=LEASE_SECONDS)
    async with asyncio.timeout(60), aclosing(jobs), aclosing(jobs.events(after="0")) as events:
        return [event async for event in up_to(events, newest)]


async def up_to(events: AsyncIterator[Event], last: str) -> AsyncIterator[Event]:
    async for event in events:
        yield event
        if event.id == last:
            return
