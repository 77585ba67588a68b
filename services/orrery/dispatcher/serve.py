"""The dispatcher: what must happen once for the whole system rather than once per gateway."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from orrery.artifacts import SweptStore, open_store
from orrery.artifacts.errors import StorageUnavailable
from orrery.dispatcher.metrics import Metrics, new_metrics
from orrery.dispatcher.settings import DispatcherSettings
from orrery.dispatcher.sweeping import Namers, Sweeper
from orrery.dispatcher.webhooks import Webhooks
from orrery.jobs.batches.redis import RedisBatches
from orrery.jobs.batches.store import Batches
from orrery.jobs.cancelling import end
from orrery.jobs.deliveries import Deliveries, RedisDeliveries
from orrery.jobs.files import Files, RedisFiles
from orrery.jobs.redis import RedisJobs
from orrery.jobs.store import JobStore, Pools
from orrery.telemetry import logs
from orrery.telemetry.exporting import metrics_served
from orrery.telemetry.process import Telemetry
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worlds.environment import from_environment
from orrery.worlds.errors import StoreUnavailable

log = logging.getLogger(__name__)


class DispatcherJobs(JobStore, Pools, Protocol):
    """The job store as a dispatcher needs it."""


@dataclass(frozen=True)
class Stores:
    jobs: DispatcherJobs
    deliveries: Deliveries
    artifacts: SweptStore
    files: Files
    batches: Batches


def main() -> None:
    """The process: settings from the environment, until SIGTERM or SIGINT."""
    logs.configure()
    settings = from_environment(DispatcherSettings, os.environ)
    serve(settings, Telemetry.from_environment("orrery-dispatcher", os.environ))


def serve(settings: DispatcherSettings, telemetry: Telemetry) -> None:
    """Blocks until the process is told to stop."""
    try:
        asyncio.run(_serve(settings, telemetry))
    finally:
        telemetry.tracing.close()


async def _serve(settings: DispatcherSettings, telemetry: Telemetry) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = settings.redis_url
    async with (
        aclosing(RedisJobs.connect(url)) as jobs,
        aclosing(RedisDeliveries.connect(url)) as deliveries,
        aclosing(RedisFiles.connect(url)) as files,
        aclosing(RedisBatches.connect(url)) as batches,
    ):
        artifacts = open_store(settings.artifacts_url, ArtifactTraffic(telemetry.instruments))
        await run(settings, Stores(jobs, deliveries, artifacts, files, batches), stop, telemetry)


async def run(settings: DispatcherSettings, stores: Stores, stop: asyncio.Event, telemetry: Telemetry | None = None) -> None:
    """Looks at the pools, sweeps and sends webhooks until `stop` is set; exports `/metrics`. Raises what ends any of them."""
    telemetry = telemetry or Telemetry()
    metrics = new_metrics(telemetry.instruments)
    sweeper = Sweeper(Namers(stores.jobs, stores.files, stores.batches), stores.artifacts, settings.policy)
    webhooks = Webhooks(stores.jobs, stores.deliveries, settings.receivers, metrics.webhooks, telemetry.tracing)
    chores: list[Coroutine[Any, Any, object]] = [
        _every(settings.refresh_seconds, lambda: look(stores, metrics)),
        _every(settings.sweep_seconds, lambda: sweep(sweeper, metrics, dry_run=settings.sweep_dry_run)),
        webhooks.follow(),
        webhooks.send(),
        stop.wait(),
    ]
    with metrics_served(settings.host, settings.port, metrics.registry):
        tasks = [asyncio.create_task(chore) for chore in chores]
        try:
            await _until(tasks[-1], tasks)
        finally:
            await end(*tasks)


async def _until(stopped: asyncio.Task[object], tasks: Iterable[asyncio.Task[object]]) -> None:
    """Chores may end well, if there is nothing to do; what goes wrong with one ends all."""
    pending = set(tasks)
    while not stopped.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        await chore()
        await asyncio.sleep(seconds)


async def look(stores: Stores, metrics: Metrics) -> None:
    """Reads the pools once. A job store that does not answer is shown as down, and asked again at the next look."""
    try:
        pools = await stores.jobs.pools()
        metrics.pools.update(pools)
        metrics.incidents.update(await stores.jobs.incidents(), pools)
        metrics.pending.set(await stores.deliveries.pending())
    except StoreUnavailable as error:
        log.warning("%s", error.message)
        metrics.pools.lost()


async def sweep(sweeper: Sweeper, metrics: Metrics, *, dry_run: bool) -> None:
    """Sweeps once; a store that does not answer is asked again at the next sweep."""
    try:
        metrics.swept(await sweeper.sweep(), dry_run=dry_run)
    except (StoreUnavailable, StorageUnavailable) as error:
        log.warning("%s", error.message)
        metrics.sweeps.labels("failed").inc()
