"""A dispatcher that sends webhooks, for as long as a test wants, and jobs that end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from dispatcher.receiver import Receiver
from dispatcher.work import Jobs, claim, submission
from gateway.rig import eventually
from orrery.dispatcher.webhooks import Receivers, Webhooks
from orrery.jobs.cancelling import end
from orrery.jobs.deliveries import Deliveries
from orrery.jobs.records import Completion
from orrery.worlds.plan import ArtifactRef

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def counter() -> Counter:
    return Counter("orrery_webhook_attempts", "of a test", ["outcome"], registry=CollectorRegistry())


def receivers(receiver: Receiver | None = None, **changes: Any) -> Receivers:
    given = Receivers(KEY, everyone=receiver and receiver.url, allow_private=True, pause=0.01, timeout=20.0)
    return replace(given, **changes)


@asynccontextmanager
async def dispatching(jobs: Jobs, deliveries: Deliveries, told: Receivers | None) -> AsyncIterator[Counter]:
    counted = counter()
    hooks = Webhooks(jobs, deliveries, told, counted)
    tasks = asyncio.create_task(hooks.follow()), asyncio.create_task(hooks.send())
    try:
        yield counted
        assert not any(task.done() and task.exception() for task in tasks)
    finally:
        await end(*tasks)


async def called(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    async def enough() -> bool:
        return len(receiver.calls) >= count

    await eventually(enough)
    return [json.loads(call.body) for call in receiver.calls]


async def settled(deliveries: Deliveries) -> None:
    async def none_left() -> bool:
        return await deliveries.pending() == 0

    await eventually(none_left)


async def answered(deliveries: Deliveries) -> None:
    """Whatever was asked for again has been looked for."""

    async def none_asked() -> bool:
        return await deliveries.asked() == []

    await eventually(none_asked)


async def complete(jobs: Jobs, job_id: str, **fields: Any) -> None:
    await jobs.submit(submission(job_id, **fields))
    for pool in ("encode", "publish"):
        taken = await claim(jobs, pool)
        outputs = {"out": made(pool)}
        await jobs.complete(taken, Completion(outputs=outputs, memo=False, stage_seconds=0.1))


def made(name: str) -> ArtifactRef:
    return ArtifactRef(digest=name.encode().hex().ljust(64, "0"), size=1)
