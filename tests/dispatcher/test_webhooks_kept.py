"""What is owed to receivers is not forgotten over a restart, and is told once."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

from redis.asyncio import Redis

from dispatcher.hooks import called, complete, dispatching, receivers, settled
from dispatcher.receiver import Receiver, receiving
from dispatcher.work import Jobs, claim, submission
from gateway.rig import eventually
from orrery.dispatcher import webhooks as module
from orrery.jobs.deliveries import Cursor, Deliveries, Delivery, RedisDeliveries


async def test_a_restart_forgets_nothing_and_repeats_nothing(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver:
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await complete(jobs, "before")
            await called(receiver, 1)
            await settled(deliveries)
        await complete(jobs, "between")
        receiver.answers([500], then=200)
        async with dispatching(jobs, deliveries, receivers(receiver, pause=0.2)):
            await called(receiver, 2)
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await called(receiver, 3)
            await settled(deliveries)
    told = [json.loads(call.body)["data"]["id"] for call in receiver.calls]
    assert told == ["before", "between", "between"]
    assert receiver.calls[1].headers["webhook-id"] == receiver.calls[2].headers["webhook-id"]


async def test_ends_are_told_although_their_events_are_forgotten(forgetful: Jobs, client: Redis) -> None:
    """A dispatcher that was away for longer than events are kept."""
    jobs, deliveries = forgetful, RedisDeliveries(client)
    async with receiving() as receiver:
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await complete(jobs, "before")
            await called(receiver, 1)
            await settled(deliveries)
        await complete(jobs, "between")
        await jobs.submit(submission("noise"))
        taken = await claim(jobs, "encode")
        for step in range(1, 400):
            await jobs.progress(taken, step, 400)
        await complete(jobs, "at last")
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await eventually(lambda: has_heard(receiver, "before", "between", "at last"))
            await complete(jobs, "after")
            await eventually(lambda: has_heard(receiver, "before", "between", "at last", "after"))
            await settled(deliveries)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 4
    assert len(receiver.calls) <= 5  # what ended just at the cursor may come again
    kinds = [event.type for event in await kept_events(jobs)]
    assert kinds.count("job.completed") == 2


async def has_heard(receiver: Receiver, *job_ids: str) -> bool:
    return {json.loads(call.body)["data"]["id"] for call in receiver.calls} == set(job_ids)


async def kept_events(jobs: Jobs) -> list[Any]:
    found = []
    async with aclosing(jobs.events(after="0")) as events:
        async for event in events:
            found.append(event)
            if (event.type, event.job_id) == ("job.completed", "after"):
                break
    return found


async def test_what_was_owed_survives_the_job(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver:
        receiver.answers([500], then=200)
        async with dispatching(jobs, deliveries, receivers(receiver, pause=0.05)):
            await complete(jobs, "done")
            await called(receiver, 1)
            await jobs.delete("done")
            await called(receiver, 2)
            await settled(deliveries)


async def test_two_dispatchers_tell_everything_once(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver:
        told = receivers(receiver)
        async with dispatching(jobs, deliveries, told), dispatching(jobs, deliveries, told):
            for k in range(20):
                await complete(jobs, f"job-{k}")
            await called(receiver, 20)
            await settled(deliveries)
    assert sorted(json.loads(call.body)["data"]["id"] for call in receiver.calls) == sorted(f"job-{k}" for k in range(20))


async def test_without_a_secret_nobody_is_told_then_or_later(jobs: Jobs, deliveries: Deliveries, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "CURSOR_EVENTS", 1)
    async with receiving() as receiver:
        async with dispatching(jobs, deliveries, None):
            await complete(jobs, "early", notes={"webhook_url": receiver.url})

            async def passed() -> bool:
                return await deliveries.cursor() != Cursor()

            await eventually(passed)
            await asyncio.sleep(0.1)
        async with dispatching(jobs, deliveries, receivers()):
            await complete(jobs, "late", notes={"webhook_url": receiver.url})
            (body,) = await called(receiver, 1)
    assert body["data"]["id"] == "late"


async def test_what_is_taken_is_nobody_elses_for_a_while(deliveries: Deliveries) -> None:
    owed = [Delivery(id=name, job_id="j", url="http://x/", body="{}") for name in "ab"]
    reached = Cursor(event="5-0", at=1.5)
    assert await deliveries.accept(owed, after=Cursor(), cursor=reached)
    assert not await deliveries.accept(owed, after=Cursor(), cursor=Cursor(event="6-0", at=2.0))
    assert await deliveries.cursor() == reached
    assert {one.id for one in await deliveries.take(10, seconds=1.0)} == {"a", "b"}
    assert await deliveries.take(10, seconds=60) == []
    assert len(await eventually(lambda: deliveries.take(1, seconds=60))) == 1
    await deliveries.settle(owed[0])
    await deliveries.postpone(owed[1], seconds=-1)
    (again,) = await deliveries.take(10, seconds=60)
    assert (again.id, again.attempts, await deliveries.pending()) == ("b", 1, 1)
