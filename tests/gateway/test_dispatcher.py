"""What the dispatcher exports about the pools."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from orrery.dispatcher.serve import look, run
from orrery.dispatcher.settings import DispatcherSettings
from orrery.jobs.gauges import PoolGauges
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import PoolStatus
from orrery.worlds.environment import from_environment
from orrery.worlds.errors import StoreUnavailable


class Flaky(MemoryJobs):
    down = False

    async def pools(self) -> dict[str, PoolStatus]:
        if self.down:
            raise StoreUnavailable("refused")
        return {"denoiser/tiny": PoolStatus(waiting=3, running=2, workers=1)}


def registered() -> tuple[CollectorRegistry, PoolGauges]:
    registry, gauges = CollectorRegistry(), PoolGauges()
    registry.register(gauges)
    return registry, gauges


def pool_values(registry: CollectorRegistry) -> list[float | None]:
    names = ("waiting", "running", "workers")
    return [registry.get_sample_value(f"orrery_pool_{name}", {"pool": "denoiser/tiny"}) for name in names]


async def test_every_pool_is_told() -> None:
    registry, gauges = registered()
    await look(Flaky(), gauges)
    assert pool_values(registry) == [3, 2, 1]
    assert registry.get_sample_value("orrery_job_store_up") == 1


async def test_an_old_depth_is_not_told_when_the_job_store_is_gone() -> None:
    registry, gauges = registered()
    jobs = Flaky()
    await look(jobs, gauges)
    jobs.down = True
    await look(jobs, gauges)
    assert pool_values(registry) == [None, None, None]
    assert registry.get_sample_value("orrery_job_store_up") == 0
    jobs.down = False
    await look(jobs, gauges)
    assert pool_values(registry) == [3, 2, 1]


async def test_it_stops_at_once_when_told() -> None:
    stop = asyncio.Event()
    settings = DispatcherSettings(redis_url="redis://none", port=0, refresh_seconds=300)
    running = asyncio.create_task(run(settings, Flaky(), stop))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.wait_for(running, 5)


def test_settings_come_from_the_environment() -> None:
    variables = {"ORRERY_REDIS_URL": "redis://r", "ORRERY_PORT": "9"}
    settings = from_environment(DispatcherSettings, variables)
    assert (settings.redis_url, settings.port) == ("redis://r", 9)
