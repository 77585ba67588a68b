"""The dispatcher: what must happen once for the whole system rather than once per gateway."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress

from prometheus_client import CollectorRegistry, start_http_server

from orrery.dispatcher.settings import DispatcherSettings
from orrery.jobs.gauges import PoolGauges
from orrery.jobs.redis import RedisJobs
from orrery.jobs.store import Pools
from orrery.worlds.environment import from_environment
from orrery.worlds.errors import StoreUnavailable

log = logging.getLogger(__name__)


def main() -> None:
    """The process: settings from the environment, until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve(from_environment(DispatcherSettings, os.environ))


def serve(settings: DispatcherSettings) -> None:
    """Blocks until the process is told to stop."""
    asyncio.run(_serve(settings))


async def _serve(settings: DispatcherSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aclosing(RedisJobs.connect(settings.redis_url)) as jobs:
        await run(settings, jobs, stop)


async def run(settings: DispatcherSettings, jobs: Pools, stop: asyncio.Event) -> None:
    """Exports the pools' depth on `/metrics` until `stop` is set."""
    gauges = PoolGauges()
    with _metrics_server(settings, gauges):
        while not stop.is_set():
            await look(jobs, gauges)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings.refresh_seconds)


async def look(jobs: Pools, gauges: PoolGauges) -> None:
    """Reads the pools once. A job store that does not answer is shown as down, and asked again at the next look."""
    try:
        gauges.update(await jobs.pools())
    except StoreUnavailable as error:
        log.warning("%s", error.message)
        gauges.lost()


@contextmanager
def _metrics_server(settings: DispatcherSettings, gauges: PoolGauges) -> Iterator[None]:
    registry = CollectorRegistry()
    registry.register(gauges)
    server, thread = start_http_server(settings.port, settings.host, registry)
    log.info("metrics on http://%s:%s/metrics", settings.host, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
