"""What is kept of an attempt for the next one, and what is counted over all of them."""

from __future__ import annotations

from jobs.setting import Setting, completion, diamond, ref, submission
from orrery.jobs.records import TaskRecord
from orrery.worlds.errors import StageFailed

BROKEN = StageFailed("the stage broke").to_dict()


async def task(setting: Setting, job_id: str = "job") -> TaskRecord:
    return (await setting.jobs.get(job_id)).tasks[0]


async def test_a_first_claim_starts_from_nothing(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    assert (claim.checkpoint, claim.checkpoint_step) == (None, 0)
    record = await task(setting)
    assert (record.checkpoint_step, record.preemptions, record.leases_lost, record.steps_run) == (None, 0, 0, 0)


async def test_the_next_owner_goes_on_from_the_last_checkpoint(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    for step in (4, 8):
        assert await setting.jobs.checkpoint(claim, ref(f"step {step}"), step) == "owned"
    assert (await task(setting)).checkpoint_step == 8
    await setting.expire()
    again = await setting.claim(worker="bob")
    assert (again.checkpoint, again.checkpoint_step, again.attempt) == (ref("step 8"), 8, 2)
    assert await setting.jobs.checkpoint(claim, ref("stale"), 12) == "lost"
    await setting.jobs.fail(again, BROKEN, retry=True)
    assert (await setting.claim()).checkpoint == ref("step 8")


async def test_steps_are_added_up_over_all_attempts(setting: Setting) -> None:
    """8 up to the checkpoint, 3 that are lost with the first worker, 27 from the checkpoint to the end."""
    await setting.jobs.submit(submission())
    first = await setting.claim()
    for step in range(1, 12):
        await setting.jobs.progress(first, step, 35)
        if step == 8:
            await setting.jobs.checkpoint(first, ref("latents"), step)
    await setting.expire()
    second = await setting.claim()
    for step in range(9, 36):
        await setting.jobs.progress(second, step, 35)
    await setting.jobs.complete(second, completion(second))
    record = await task(setting)
    assert (record.steps_run, record.leases_lost, record.attempt) == (8 + 3 + 27, 1, 2)


async def test_steps_between_reports_count(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    await setting.jobs.checkpoint(claim, ref("a"), 10)
    await setting.jobs.progress(claim, 10, 35)
    await setting.jobs.progress(claim, 16, 35)
    await setting.jobs.checkpoint(claim, ref("b"), 14)
    await setting.jobs.progress(claim, 17, 35)
    assert (await task(setting)).steps_run == 17


async def test_a_stage_that_starts_over_in_one_attempt_counts_its_steps_again(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    for step in (5, 0, 5, 10):
        await setting.jobs.progress(claim, step, 10)
    assert (await task(setting)).steps_run == 15


async def test_an_end_needs_no_checkpoint(setting: Setting) -> None:
    for job_id in ("done", "failed", "cancelled"):
        await setting.jobs.submit(submission(job_id))
    claims = [await setting.claim() for _ in range(3)]
    for claim in claims:
        await setting.jobs.checkpoint(claim, ref(claim.job_id), 3)
    assert await live(setting) == {ref(claim.job_id).digest for claim in claims}
    await setting.jobs.complete(claims[0], completion(claims[0]))
    await setting.jobs.fail(claims[1], BROKEN, retry=False)
    await setting.jobs.cancel("cancelled")
    assert {(await task(setting, claim.job_id)).checkpoint_step for claim in claims} == {None}
    assert await live(setting) == {made.digest for made in completion(claims[0]).outputs.values()}


async def live(setting: Setting) -> set[str]:
    return {digest async for digest in setting.jobs.live_artifacts()}


async def test_artifacts_live_while_a_job_names_them(setting: Setting) -> None:
    assert await live(setting) == set()
    await setting.jobs.submit(submission("job", plan=diamond()))
    assert await live(setting) == {ref("upload").digest}
    await setting.finish()
    left = await setting.claim("denoise/small")
    await setting.jobs.checkpoint(left, ref("latents"), 3)
    named = {ref(name).digest for name in ("upload", "job/top", "extra", "latents")}
    assert await live(setting) == named
    await setting.jobs.cancel("job")
    assert await live(setting) == named - {ref("latents").digest}
    await setting.jobs.delete("job")
    assert await live(setting) == set()


async def test_artifacts_of_many_jobs_are_all_named(setting: Setting) -> None:
    for n in range(230):
        await setting.jobs.submit(submission(f"job-{n}"))
        await setting.finish()
    assert await live(setting) == {ref(f"job-{n}/encode").digest for n in range(230)} | {ref("extra").digest}
