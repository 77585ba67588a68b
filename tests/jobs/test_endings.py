"""What becomes of jobs after their end: dead letters and their revival, retention."""

from __future__ import annotations

import asyncio

import pytest

from jobs.setting import LEASE, Clock, Setting, completion, diamond, ref, submission
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JobState, TaskState
from orrery.worlds.errors import AttemptsExhausted, JobNotFound, StageFailed

BROKEN = StageFailed("the stage broke").to_dict()


async def kill(setting: Setting, pool: str = "encode") -> None:
    """Every attempt at the next task ends with its worker gone."""
    for _ in range(3):
        await setting.claim(pool)
        await setting.expire()
    assert await setting.jobs.claim([pool], "ann", wait=0) is None


async def ids(setting: Setting, limit: int = 100) -> list[str]:
    return [job.id for job in await setting.jobs.dead(limit)]


async def test_a_task_that_kills_its_worker_is_a_dead_letter_and_takes_no_other_with_it(setting: Setting) -> None:
    await setting.jobs.submit(submission("poison"))
    await kill(setting)
    await setting.jobs.submit(submission("fine"))
    assert (await setting.finish()).job_id == "fine"
    [dead] = await setting.jobs.dead(10)
    assert dead == await setting.jobs.get("poison")
    assert (dead.state, dead.error["code"]) == (JobState.FAILED, AttemptsExhausted.code)
    assert (dead.tasks[0].attempt, dead.tasks[0].leases_lost) == (3, 3)


async def test_the_dead_are_those_who_lost_their_attempts_the_latest_first(setting: Setting) -> None:
    for n in range(3):
        await setting.jobs.submit(submission(f"dead-{n}"))
        await kill(setting)
        await setting.wait(0.01)
    for job_id in ("failed", "cancelled"):
        await setting.jobs.submit(submission(job_id))
    await setting.jobs.fail(await setting.claim(), BROKEN, retry=False)
    await setting.jobs.cancel("cancelled")
    assert await ids(setting) == ["dead-2", "dead-1", "dead-0"]
    assert await ids(setting, 2) == ["dead-2", "dead-1"]
    await setting.jobs.delete("dead-1")
    assert await ids(setting) == ["dead-2", "dead-0"]


async def test_a_dead_job_is_revived_where_it_died(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    top = await setting.finish()
    left = await setting.finish("denoise/small")
    right = await setting.claim("denoise/small")
    await setting.jobs.progress(right, 5, 9)
    await setting.jobs.checkpoint(right, ref("latents"), 5)
    await setting.expire()
    await setting.claim("denoise/small")
    await setting.expire()
    await setting.claim("denoise/small")
    await setting.expire()
    assert await setting.jobs.claim(["denoise/small"], "ann", wait=0) is None
    dead = await setting.jobs.get("job")
    assert dead.expires_at is not None

    job = await setting.jobs.requeue("job")
    assert (job.state, job.error, job.finished_at, job.expires_at) == (JobState.QUEUED, None, None, None)
    assert [t.state for t in job.tasks] == [TaskState.DONE, TaskState.DONE, TaskState.QUEUED, TaskState.WAITING]
    assert await ids(setting) == []
    again = await setting.claim("denoise/small")
    assert (again.task.id, again.attempt, again.checkpoint, again.checkpoint_step) == ("right", 1, ref("latents"), 5)
    assert await setting.jobs.complete(right, completion(right)) == "lost"
    await setting.jobs.complete(again, completion(again))
    await setting.finish("decode")
    done = await setting.jobs.get("job")
    assert done.state is JobState.COMPLETED
    assert done.tasks[2].leases_lost == 3
    assert done.result["latents"] == completion(left).outputs["out"]
    assert top.task.id == "top"
    events = [event.type.removeprefix("job.") async for event in setting.jobs.events(job_id="job")]
    assert events == ["queued", "in_progress", "progress", "failed", "queued", "in_progress", "completed"]


async def test_a_revived_job_may_die_again(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    for _ in range(2):
        await kill(setting)
        assert await ids(setting) == ["job"]
        await setting.jobs.requeue("job")
    assert (await setting.finish()).attempt == 1


async def test_only_the_dead_are_revived(setting: Setting) -> None:
    for job_id in ("failed", "cancelled", "running", "queued"):
        await setting.jobs.submit(submission(job_id))
    await setting.jobs.fail(await setting.claim(), BROKEN, retry=False)
    await setting.jobs.cancel("cancelled")
    await setting.claim()
    for job_id in ("failed", "cancelled", "running", "queued"):
        before = await setting.jobs.get(job_id)
        assert await setting.jobs.requeue(job_id) == before == await setting.jobs.get(job_id)
    with pytest.raises(JobNotFound):
        await setting.jobs.requeue("none")
    with pytest.raises(JobNotFound):
        await setting.jobs.position("none")


async def test_a_job_expires_by_its_own_retention(setting: Setting) -> None:
    for job_id, retention in (("short", 0.2), ("long", 500.0), ("usual", None), ("open", 0.0)):
        await setting.jobs.submit(submission(job_id, retention=retention))
    for _ in range(3):
        await setting.finish()
    job = await setting.jobs.get("long")
    assert job.expires_at == pytest.approx(job.finished_at + 500)
    usual = await setting.jobs.get("usual")
    assert usual.expires_at == pytest.approx(usual.finished_at + 7 * 86_400)
    assert (await setting.jobs.get("open")).expires_at is None
    assert await setting.jobs.expired(10) == []
    await setting.wait(0.3)
    assert await setting.jobs.expired(10) == ["short"]
    await setting.jobs.cancel("open")
    await setting.wait(0.01)
    assert await setting.jobs.expired(10) == ["short", "open"]
    assert await setting.jobs.expired(1) == ["short"]
    await setting.jobs.delete("short")
    assert await setting.jobs.expired(10) == ["open"]


async def test_events_from_now_on(setting: Setting) -> None:
    await setting.jobs.submit(submission("before"))
    events = setting.jobs.events(after=None)
    told = asyncio.create_task(anext(events))
    await asyncio.sleep(0.05)
    await setting.jobs.submit(submission("after"))
    assert (await asyncio.wait_for(told, 8)).job_id == "after"
    await events.aclose()
    await setting.jobs.cancel("before")
    assert [event async for event in setting.jobs.events(job_id="before", after=None)] == []


async def test_a_clock_that_jumps_back_loses_nothing() -> None:
    clock = Clock()
    jobs = MemoryJobs(lease=LEASE, clock=clock)
    await jobs.submit(submission())
    claim = await jobs.claim(["encode"], "ann", wait=0)
    assert claim is not None
    clock.now -= 3600
    assert await jobs.claim(["encode"], "bob", wait=0) is None
    assert await jobs.renew(claim) == "owned"
    clock.now += LEASE
    again = await jobs.claim(["encode"], "bob", wait=0)
    assert again is not None
    assert await jobs.complete(claim, completion(claim)) == "lost"
    assert await jobs.complete(again, completion(again)) == "owned"
