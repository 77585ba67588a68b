"""A gateway on a real Valkey, behind a real socket, with a worker that does what is submitted and makes real films."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.rig import TINY, Worker
from gateway.samples import clip
from gateway.served import served
from orrery.gateway.app import create_app
from orrery.gateway.readiness import pools_of
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.stores import Stores, open_stores
from orrery.gateway.waiting import end
from orrery.jobs.redis import RedisJobs
from orrery.worlds.catalog import CATALOG

FILM = clip(17, 176, 96)
POOLS = sorted(pools_of(CATALOG[TINY]))


@dataclass
class Real:
    """`url` is of the API, as clients are told it."""

    url: str
    http: httpx.AsyncClient
    stores: Stores


@asynccontextmanager
async def real_gateway(redis_url: str, folder: Path) -> AsyncIterator[Real]:
    settings = GatewaySettings(
        redis_url=redis_url, artifacts_url=folder.as_uri(), poll_after_ms=20, models=(TINY,), default_model=TINY
    )
    async with open_stores(settings) as stores, served(create_app(settings, stores)) as http:
        assert isinstance(stores.jobs, RedisJobs)
        await stores.jobs._client.flushall()
        work = asyncio.create_task(_work(stores))
        try:
            yield Real(f"{http.base_url}/v1", http, stores)
        finally:
            await end(work)


async def _work(stores: Stores) -> None:
    worker = Worker(stores.jobs, stores.artifacts, media=FILM)  # type: ignore[arg-type]
    await stores.jobs.announce("worker-1", POOLS, seconds=3600)
    while True:
        claim = await stores.jobs.claim(POOLS, "worker-1", wait=0.2)  # type: ignore[attr-defined]
        if claim is not None:
            await worker.do(claim)
