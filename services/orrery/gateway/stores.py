"""The stores behind a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from orrery.artifacts import ArtifactStore, open_store
from orrery.artifacts.store import UNMETERED, Meter
from orrery.gateway.forecast import GatewayJobs
from orrery.gateway.settings import GatewaySettings
from orrery.jobs.batches.redis import RedisBatches
from orrery.jobs.batches.store import Batches
from orrery.jobs.deliveries import Deliveries, RedisDeliveries
from orrery.jobs.files import Files, RedisFiles
from orrery.jobs.quotas import MemoryQuotas, Quotas, RedisQuotas
from orrery.jobs.redis import RedisJobs


@dataclass(frozen=True)
class Stores:
    """All that gateways of one system share."""

    jobs: GatewayJobs
    artifacts: ArtifactStore
    deliveries: Deliveries
    files: Files
    batches: Batches
    quotas: Quotas = field(default_factory=MemoryQuotas)


@asynccontextmanager
async def open_stores(settings: GatewaySettings, meter: Meter = UNMETERED) -> AsyncIterator[Stores]:
    """Those that the settings name, for as long as the context; nothing is sent before the first call."""
    url = settings.redis_url
    jobs = RedisJobs.connect(
        url,
        max_waiting_per_pool=settings.max_waiting_per_pool,
        max_waiting_per_tenant=settings.max_waiting_per_tenant,
        retention=settings.retention_seconds,
    )
    async with (
        aclosing(jobs),
        aclosing(RedisDeliveries.connect(url)) as deliveries,
        aclosing(RedisFiles.connect(url)) as files,
        aclosing(RedisBatches.connect(url)) as batches,
        aclosing(RedisQuotas.connect(url)) as quotas,
    ):
        yield Stores(jobs, open_store(settings.artifacts_url, meter), deliveries, files, batches, quotas)
