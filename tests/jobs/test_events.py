"""Events and cancellations as those who follow a store see them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from jobs.setting import Setting, completion, diamond, submission
from orrery.jobs.records import Event, Signal
from orrery.worlds.errors import StageFailed

BROKEN = StageFailed("the stage broke").to_dict()


def cancelled(job_id: str) -> Signal:
    return Signal(kind="cancel", job_id=job_id)


async def whole(setting: Setting, job_id: str, after: str = "0") -> list[Event]:
    """The events of a job that has ended: the iterator must stop by itself."""
    async with asyncio.timeout(5):
        return [event async for event in setting.jobs.events(job_id=job_id, after=after)]


async def first(setting: Setting, count: int, after: str = "0") -> list[Event]:
    """The first events of the store that follow `after`."""
    found: list[Event] = []
    async with asyncio.timeout(5), aclosing(setting.jobs.events(after=after)) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the events of a store never end")


async def test_the_events_of_a_completed_job(setting: Setting) -> None:
    job = await setting.jobs.submit(submission())
    claim = await setting.claim()
    await setting.jobs.progress(claim, 1, 2)
    await setting.jobs.complete(claim, completion(claim))
    events = await whole(setting, "job")
    assert [e.type for e in events] == ["job.queued", "job.in_progress", "job.progress", "job.completed"]
    assert {e.job_id for e in events} == {"job"}
    assert events[2].data == {"task": "encode", "stage": "encode", "step": 1, "num_steps": 2}
    times = [e.at for e in events]
    assert times == sorted(times)
    assert times[0] >= job.created_at


async def test_events_of_a_job_resume_after_an_id(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    for pool in ("encode", "denoise/small", "denoise/small", "decode"):
        await setting.finish(pool)
    events = await whole(setting, "job")
    assert [e.type for e in events] == ["job.queued", "job.in_progress", "job.completed"]
    for n, event in enumerate(events):
        assert await whole(setting, "job", after=event.id) == events[n + 1 :]


async def test_failed_and_cancelled_jobs_end_with_their_event(setting: Setting) -> None:
    for job_id in ("failed", "cancelled"):
        await setting.jobs.submit(submission(job_id))
    await setting.jobs.fail(await setting.claim(), BROKEN, retry=False)
    await setting.jobs.cancel("cancelled")
    failed, cancelled = await whole(setting, "failed"), await whole(setting, "cancelled")
    assert (failed[-1].type, failed[-1].data) == ("job.failed", {"error": BROKEN})
    assert [e.type for e in cancelled] == ["job.queued", "job.cancelled"]


async def test_a_follower_of_a_job_sees_it_live_to_the_end(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.jobs.submit(submission("other"))
    following = asyncio.create_task(whole(setting, "job"))
    await asyncio.sleep(0.05)
    claim = await setting.claim()
    for step in (1, 2, 3):
        await setting.jobs.progress(claim, step, 3)
        await asyncio.sleep(0)
    assert not following.done()
    await setting.jobs.complete(claim, completion(claim))
    events = await following
    assert [e.type.removeprefix("job.") for e in events] == [
        "queued", "in_progress", "progress", "progress", "progress", "completed",
    ]  # fmt: skip


async def test_the_events_of_a_store_are_ordered_and_resumed(setting: Setting) -> None:
    for job_id in ("a", "b"):
        await setting.jobs.submit(submission(job_id))
    await setting.finish()
    await setting.jobs.cancel("b")
    events = await first(setting, 5)
    assert [(e.job_id, e.type) for e in events] == [
        ("a", "job.queued"),
        ("b", "job.queued"),
        ("a", "job.in_progress"),
        ("a", "job.completed"),
        ("b", "job.cancelled"),
    ]
    order = [tuple(map(int, e.id.split("-"))) for e in events]
    assert order == sorted(set(order))
    assert await first(setting, 2, after=events[2].id) == events[3:]
    assert await whole(setting, "a") == [events[n] for n in (0, 2, 3)]


async def test_the_events_of_a_store_come_as_they_happen(setting: Setting) -> None:
    following = asyncio.create_task(first(setting, 2))
    await asyncio.sleep(0.05)
    await setting.jobs.submit(submission("a"))
    await setting.jobs.submit(submission("b"))
    assert [e.job_id for e in await following] == ["a", "b"]


async def test_a_follower_stops_when_the_job_is_deleted(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    following = asyncio.create_task(whole(setting, "job"))
    await asyncio.sleep(0.05)
    await setting.jobs.delete("job")
    assert (await following)[0].type == "job.queued"
    assert [e.type for e in await first(setting, 2)] == ["job.queued", "job.cancelled"]


async def test_cancellations_come_as_they_happen(setting: Setting) -> None:
    for job_id in ("before", "queued", "running", "deleted", "done"):
        await setting.jobs.submit(submission(job_id))
    await setting.jobs.cancel("before")
    async with aclosing(setting.jobs.signals()) as signals:
        told = asyncio.create_task(anext(signals))
        await asyncio.sleep(0.05)
        await setting.jobs.cancel("queued")
        assert await asyncio.wait_for(told, 8) == cancelled("queued")
        await setting.claim()
        await setting.jobs.cancel("running")
        await setting.jobs.delete("deleted")
        await setting.finish()
        await setting.jobs.cancel("done")
        await setting.jobs.submit(submission("last"))
        await setting.jobs.cancel("last")
        assert [await anext(signals) for _ in range(3)] == [
            cancelled("running"), cancelled("deleted"), cancelled("last"),
        ]  # fmt: skip


async def test_workers_beside_a_failure_are_told_to_stop(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    await setting.finish()
    left, _right = await setting.claim("denoise/small"), await setting.claim("denoise/small", "bob")
    async with aclosing(setting.jobs.signals()) as signals:
        told = asyncio.create_task(anext(signals))
        await asyncio.sleep(0.05)
        await setting.jobs.fail(left, BROKEN, retry=False)
        assert await asyncio.wait_for(told, 8) == cancelled("job")
