"""The dispatcher as a whole: what it is told, what it exports, and how it stops."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from dispatcher.receiver import receiving
from dispatcher.work import namers, submission
from gateway.rig import eventually
from orrery.artifacts import open_store
from orrery.dispatcher.metrics import Metrics, new_metrics
from orrery.dispatcher.serve import Stores, look, run, sweep
from orrery.dispatcher.settings import DispatcherSettings
from orrery.dispatcher.sweeping import Policy, Sweeper
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.deliveries import MemoryDeliveries
from orrery.jobs.files import MemoryFiles
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

    async def expired(self, limit: int) -> list[str]:
        if self.down:
            raise StoreUnavailable("refused")
        return await super().expired(limit)


def stores(jobs: MemoryJobs) -> Stores:
    return Stores(jobs, MemoryDeliveries(), open_store("memory://"), MemoryFiles(), MemoryBatches())


def pool_values(registry: CollectorRegistry) -> list[float | None]:
    names = ("waiting", "running", "workers")
    return [registry.get_sample_value(f"orrery_pool_{name}", {"pool": "denoiser/tiny"}) for name in names]


async def test_every_pool_is_told() -> None:
    metrics = new_metrics()
    await look(stores(Flaky()), metrics)
    assert pool_values(metrics.registry) == [3, 2, 1]
    assert metrics.registry.get_sample_value("orrery_job_store_up") == 1


async def test_an_old_depth_is_not_told_when_the_job_store_is_gone() -> None:
    metrics, jobs = new_metrics(), Flaky()
    here = stores(jobs)
    await look(here, metrics)
    jobs.down = True
    await look(here, metrics)
    assert pool_values(metrics.registry) == [None, None, None]
    assert metrics.registry.get_sample_value("orrery_job_store_up") == 0
    jobs.down = False
    await look(here, metrics)
    assert pool_values(metrics.registry) == [3, 2, 1]


def swept(metrics: Metrics, what: str, done: str) -> float | None:
    return metrics.registry.get_sample_value("orrery_swept_total", {"what": what, "done": done})


@pytest.mark.parametrize(("dry_run", "done"), [(False, "removed"), (True, "counted")])
async def test_sweeps_are_counted(dry_run: bool, done: str) -> None:
    metrics, jobs = new_metrics(), Flaky()
    await jobs.submit(submission("old", retention=0.0))
    await jobs.cancel("old")
    sweeper = Sweeper(namers(jobs), open_store("memory://"), Policy(dry_run=dry_run))
    await sweep(sweeper, metrics, dry_run=dry_run)
    assert swept(metrics, "jobs", done) == 1
    jobs.down = True
    await sweep(sweeper, metrics, dry_run=dry_run)
    outcomes = [metrics.registry.get_sample_value("orrery_sweeps_total", {"outcome": name}) for name in ("done", "failed")]
    assert outcomes == [1, 1]


SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
REQUIRED = {"ORRERY_REDIS_URL": "redis://r", "ORRERY_ARTIFACTS_URL": "file:///a"}


async def test_it_stops_at_once_when_told() -> None:
    stop = asyncio.Event()
    settings = from_environment(DispatcherSettings, REQUIRED | {"ORRERY_PORT": "0", "ORRERY_REFRESH_SECONDS": "300"})
    running = asyncio.create_task(run(settings, stores(Flaky()), stop))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.wait_for(running, 5)


async def test_what_goes_wrong_ends_it() -> None:
    class Broken(MemoryJobs):
        async def expired(self, limit: int) -> list[str]:
            raise RuntimeError("a fault of the program")

    settings = from_environment(DispatcherSettings, REQUIRED | {"ORRERY_PORT": "0"})
    with pytest.raises(RuntimeError, match="a fault of the program"):
        await asyncio.wait_for(run(settings, stores(Broken()), asyncio.Event()), 5)


async def test_it_tells_and_sweeps_as_its_settings_say(tmp_path: Path) -> None:
    jobs, stop = MemoryJobs(), asyncio.Event()
    here = Stores(jobs, MemoryDeliveries(), open_store(tmp_path.as_uri()), MemoryFiles(), MemoryBatches())
    async with receiving() as receiver:
        chosen = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_PRIVATE": "true"}
        chosen |= {"PORT": "0", "SWEEP_SECONDS": "0.05"}
        settings = from_environment(DispatcherSettings, REQUIRED | {f"ORRERY_{name}": value for name, value in chosen.items()})
        running = asyncio.create_task(run(settings, here, stop))
        await jobs.submit(submission("old", retention=0.2))
        await jobs.cancel("old")

        async def done() -> bool:
            return len(receiver.calls) == 1 and not (await jobs.list(after=None, limit=1, order="asc")).jobs

        await eventually(done)
        stop.set()
        await running


def test_settings_come_from_the_environment() -> None:
    settings = from_environment(DispatcherSettings, REQUIRED | {"ORRERY_PORT": "9", "ORRERY_MEMO_BYTES": "7"})
    assert (settings.redis_url, settings.port, settings.policy.memo_bytes) == ("redis://r", 9, 7)
    assert (settings.policy.grace, settings.receivers) == (3600.0, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ORRERY_WEBHOOK_URL": "https://example.org/"},
        {"ORRERY_WEBHOOK_URL": "ftp://example.org/", "ORRERY_WEBHOOK_SECRET": SECRET},
        {"ORRERY_WEBHOOK_SECRET": SECRET.removeprefix("whsec_")},
        {"ORRERY_WEBHOOK_SECRET": "whsec_c2hvcnQ="},
        {"ORRERY_WEBHOOK_SECRET": "whsec_n0-base64-at-all-but-quite-long-for-sure"},
        {"ORRERY_SWEEP_GRACE_SECONDS": "60"},
        {"ORRERY_MEMO_BYTES": "-1"},
    ],
    ids=str,
)
def test_settings_are_strict_and_keep_secrets(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        from_environment(DispatcherSettings, REQUIRED | wrong)
    assert wrong.get("ORRERY_WEBHOOK_SECRET", "whsec_") not in str(refusal.value).replace("must be whsec_", "")


def test_a_secret_is_not_shown() -> None:
    settings = from_environment(DispatcherSettings, REQUIRED | {"ORRERY_WEBHOOK_SECRET": SECRET})
    assert SECRET not in repr(settings)
    assert settings.receivers is not None
    assert settings.receivers.key == bytes(range(32))
