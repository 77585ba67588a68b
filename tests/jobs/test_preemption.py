"""Running batch work makes room for interactive work, and comes back."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from jobs.setting import Setting, completion, ref, submission
from orrery.jobs.records import Claim, Priority, Signal, TaskRecord
from orrery.jobs.rules import MOST_PREEMPTIONS

INTERACTIVE, STANDARD, BATCH = Priority


async def submit(setting: Setting, job_id: str, priority: Priority) -> None:
    await setting.jobs.submit(submission(job_id, priority=priority))


async def running(setting: Setting, job_id: str, priority: Priority, worker: str = "ann") -> Claim:
    await submit(setting, job_id, priority)
    claim = await setting.claim(worker=worker)
    assert claim.job_id == job_id
    return claim


async def task(setting: Setting, job_id: str) -> TaskRecord:
    return (await setting.jobs.get(job_id)).tasks[0]


async def test_a_batch_task_yields_and_comes_back_with_its_checkpoint(setting: Setting) -> None:
    batch = await running(setting, "batch", BATCH)
    await submit(setting, "next", BATCH)
    await setting.jobs.progress(batch, 7, 35)
    assert await setting.jobs.renew(batch) == "owned"
    await submit(setting, "urgent", INTERACTIVE)
    assert await setting.jobs.renew(batch) == "preempted"
    assert await setting.jobs.progress(batch, 8, 35) == "preempted"
    assert await setting.jobs.checkpoint(batch, ref("latents"), 8) == "preempted"
    assert await setting.jobs.release(batch) == "owned"
    assert await setting.jobs.renew(batch) == "lost"
    assert (await setting.finish()).job_id == "urgent"
    again = await setting.claim()
    assert (again.job_id, again.attempt, again.checkpoint, again.checkpoint_step) == ("batch", 1, ref("latents"), 8)
    record = await task(setting, "batch")
    assert (record.preemptions, record.attempt, record.leases_lost, record.steps_run) == (1, 1, 0, 8)
    assert await setting.jobs.renew(again) == "owned"


async def test_the_worker_is_signalled_once(setting: Setting) -> None:
    await running(setting, "batch", BATCH)
    async with aclosing(setting.jobs.signals()) as signals:
        told = asyncio.create_task(anext(signals))
        await asyncio.sleep(0.3)
        await submit(setting, "urgent", INTERACTIVE)
        assert await asyncio.wait_for(told, 20) == Signal(kind="preempt", job_id="batch", task_id="encode")
        await submit(setting, "as urgent", INTERACTIVE)
        await submit(setting, "last", STANDARD)
        await setting.jobs.cancel("last")
        assert await asyncio.wait_for(anext(signals), 20) == Signal(kind="cancel", job_id="last")


async def test_only_batch_work_yields_and_only_to_interactive_work(setting: Setting) -> None:
    standard = await running(setting, "standard", STANDARD)
    interactive = await running(setting, "interactive", INTERACTIVE, "bob")
    batch = await running(setting, "batch", BATCH, "cid")
    await submit(setting, "more", STANDARD)
    await submit(setting, "even more", BATCH)
    assert {await setting.jobs.renew(claim) for claim in (standard, interactive, batch)} == {"owned"}
    await submit(setting, "urgent", INTERACTIVE)
    assert [await setting.jobs.renew(claim) for claim in (standard, interactive, batch)] == ["owned", "owned", "preempted"]


async def test_nobody_yields_while_a_worker_is_idle(setting: Setting) -> None:
    await setting.jobs.announce("ann", ["encode"], seconds=60)
    await setting.jobs.announce("bob", ["encode", "decode"], seconds=60)
    await setting.jobs.announce("cid", ["decode"], seconds=60)
    batch = await running(setting, "batch", BATCH, "ann")
    await submit(setting, "urgent", INTERACTIVE)
    assert await setting.jobs.renew(batch) == "owned"
    await submit(setting, "as urgent", INTERACTIVE)
    assert await setting.jobs.renew(batch) == "preempted"


async def test_a_worker_that_went_silent_is_not_idle(setting: Setting) -> None:
    await setting.jobs.announce("bob", ["encode"], seconds=0.1)
    batch = await running(setting, "batch", BATCH, "ann")
    await setting.wait(0.15)
    await submit(setting, "urgent", INTERACTIVE)
    assert await setting.jobs.renew(batch) == "preempted"


async def test_each_urgent_task_displaces_one(setting: Setting) -> None:
    held = [await running(setting, f"batch-{n}", BATCH, f"w{n}") for n in range(4)]
    for count in (1, 2, 3):
        await submit(setting, f"urgent-{count}", INTERACTIVE)
        assert [await setting.jobs.renew(claim) for claim in held].count("preempted") == count


async def test_the_turn_that_was_left_goes_to_interactive_work(setting: Setting) -> None:
    """Whatever the weights have gathered for the batch class meanwhile."""
    for n in range(3):
        await submit(setting, f"standard-{n}", STANDARD)
    for n in range(4):
        await submit(setting, f"batch-{n}", BATCH)
    held = [await setting.claim(worker=f"w{n}") for n in range(5)]
    batch = next(claim for claim in held if claim.job_id.startswith("batch"))
    await submit(setting, "urgent", INTERACTIVE)
    assert "preempted" in [await setting.jobs.renew(claim) for claim in held if claim.job_id.startswith("batch")]
    for claim in held:
        if await setting.jobs.renew(claim) == "preempted":
            await setting.jobs.release(claim)
    assert (await setting.claim()).job_id == "urgent"
    assert batch.task.id == "encode"


async def test_what_is_done_in_spite_of_it_counts(setting: Setting) -> None:
    batch = await running(setting, "batch", BATCH)
    await submit(setting, "urgent", INTERACTIVE)
    assert await setting.jobs.complete(batch, completion(batch)) == "owned"
    assert (await setting.jobs.get("batch")).state == "completed"
    assert (await task(setting, "batch")).preemptions == 0


async def test_a_preempted_worker_that_dies_loses_its_task(setting: Setting) -> None:
    batch = await running(setting, "batch", BATCH)
    await submit(setting, "urgent", INTERACTIVE)
    await setting.expire()
    again = await setting.claim(worker="bob")
    assert (again.job_id, again.attempt) == ("batch", 2)
    assert await setting.jobs.release(batch) == "lost"
    assert await setting.jobs.renew(again) == "owned"
    record = await task(setting, "batch")
    assert (record.preemptions, record.leases_lost) == (0, 1)


async def test_a_task_displaced_often_enough_runs_to_its_end(setting: Setting) -> None:
    await submit(setting, "batch", BATCH)
    for n in range(MOST_PREEMPTIONS):
        batch = await setting.claim()
        await submit(setting, f"urgent-{n}", INTERACTIVE)
        assert await setting.jobs.renew(batch) == "preempted"
        await setting.jobs.release(batch)
        assert (await setting.finish()).job_id == f"urgent-{n}"
    batch = await setting.claim()
    await submit(setting, "urgent", INTERACTIVE)
    assert await setting.jobs.renew(batch) == "owned"
    assert ((await task(setting, "batch")).preemptions, batch.attempt) == (MOST_PREEMPTIONS, 1)


async def test_a_cancelled_preempted_task_is_cancelled(setting: Setting) -> None:
    batch = await running(setting, "batch", BATCH)
    await submit(setting, "urgent", INTERACTIVE)
    await setting.jobs.cancel("batch")
    assert await setting.jobs.renew(batch) == "cancelled"
    other = await running(setting, "other", BATCH, "bob") if (await setting.finish()).job_id == "urgent" else None
    assert other is not None
    assert await setting.jobs.renew(other) == "owned"
