"""What should be rare is counted by pool, and what a claim says of its wait and its trace."""

from __future__ import annotations

import pytest

from jobs.setting import Setting, completion, ref, submission
from orrery.jobs.records import Incidents, Priority

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FAILURE = {"code": "stage_failed", "message": "no reason"}


async def test_a_calm_store_has_none(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.finish()
    assert await setting.jobs.incidents() == Incidents()


async def test_a_lease_that_ran_out_is_counted_when_the_task_is_taken(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.claim()
    await setting.expire()
    assert (await setting.jobs.incidents()).leases_lost == {}
    await setting.claim(worker="bob")
    assert await setting.jobs.incidents() == Incidents(leases_lost={"encode": 1})


async def test_failures_that_are_tried_again_end_as_a_dead_letter(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    for _ in range(2):
        await setting.jobs.fail(await setting.claim(), FAILURE, retry=True)
    assert await setting.jobs.incidents() == Incidents(retries={"encode": 2})
    await setting.jobs.fail(await setting.claim(), FAILURE, retry=True)
    assert await setting.jobs.incidents() == Incidents(retries={"encode": 2}, dead_letters={"encode": 1}, dead=1)
    await setting.jobs.requeue("job")
    assert await setting.jobs.incidents() == Incidents(retries={"encode": 2}, dead_letters={"encode": 1}, dead=0)


async def test_a_task_that_loses_its_last_lease_is_both(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    for _ in range(3):
        await setting.claim()
        await setting.expire()
    assert await setting.jobs.claim(["encode"], "bob", wait=0) is None
    assert await setting.jobs.incidents() == Incidents(leases_lost={"encode": 3}, dead_letters={"encode": 1}, dead=1)


async def test_a_failure_for_good_is_none_of_them(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.jobs.fail(await setting.claim(), FAILURE, retry=False)
    assert await setting.jobs.incidents() == Incidents()


async def test_only_a_task_that_made_room_was_preempted(setting: Setting) -> None:
    await setting.jobs.announce("ann", ["encode"], seconds=60)
    await setting.jobs.submit(submission("slow", priority=Priority.BATCH))
    await setting.jobs.release(await setting.claim())
    held = await setting.claim()
    await setting.jobs.submit(submission("quick", priority=Priority.INTERACTIVE))
    await setting.jobs.release(held)
    assert await setting.jobs.incidents() == Incidents(preemptions={"encode": 1})


async def test_a_claim_says_how_long_nobody_held_the_task(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.wait(0.1)
    first = await setting.claim()
    assert first.waited == pytest.approx(0.1, abs=0.08)
    await setting.expire()
    assert (await setting.claim(worker="bob")).waited is None


async def test_a_trace_goes_from_the_submission_to_every_claim_and_the_record(setting: Setting) -> None:
    await setting.jobs.submit(submission("traced", trace=TRACE))
    await setting.jobs.submit(submission("plain"))
    first, second = await setting.claim(), await setting.claim()
    assert (first.trace, second.trace) == (TRACE, None)
    assert ((await setting.jobs.get("traced")).trace, (await setting.jobs.get("plain")).trace) == (TRACE, None)


async def test_a_claim_that_is_asked_for_again_keeps_its_checkpoint_and_trace(setting: Setting) -> None:
    await setting.jobs.submit(submission(trace=TRACE))
    claim = await setting.claim()
    await setting.jobs.checkpoint(claim, ref("checkpoint"), 3)
    await setting.expire()
    again = await setting.claim(worker="bob")
    assert (again.trace, again.checkpoint, again.checkpoint_step) == (TRACE, ref("checkpoint"), 3)
    assert await setting.jobs.complete(again, completion(again)) == "owned"
