"""Claims, leases, attempts: what a worker may rely on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobs.setting import Jobs, Setting, completion, diamond, submission
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Claim, Completion, JobState, TaskState
from orrery.jobs.redis import RedisJobs
from orrery.worlds.errors import AttemptsExhausted, StageFailed, from_dict

BROKEN = StageFailed("the stage broke").to_dict()


async def every_write(setting: Setting, claim: Claim) -> set[str]:
    jobs = setting.jobs
    return {
        await jobs.renew(claim),
        await jobs.progress(claim, 5, 10),
        await jobs.complete(claim, completion(claim)),
        await jobs.fail(claim, BROKEN, retry=True),
        await jobs.fail(claim, BROKEN, retry=False),
        await jobs.release(claim),
    }


async def test_a_lost_owner_changes_nothing(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    stale = await setting.claim(worker="ann")
    await setting.expire()
    owner = await setting.claim(worker="bob")
    before = await setting.jobs.get("job")
    assert await every_write(setting, stale) == {"lost"}
    assert await setting.jobs.get("job") == before
    assert (owner.attempt, owner.job_id, owner.task) == (2, stale.job_id, stale.task)
    assert await setting.jobs.renew(owner) == "owned"
    assert await setting.jobs.complete(owner, completion(owner)) == "owned"


async def test_a_worker_that_takes_its_own_task_again_is_fenced_by_the_token(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    stale = await setting.claim()
    await setting.expire()
    owner = await setting.claim()
    assert stale.worker == owner.worker
    assert await every_write(setting, stale) == {"lost"}
    assert await setting.jobs.renew(owner) == "owned"


async def test_another_workers_name_on_a_claim_is_worth_nothing(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    assert await every_write(setting, claim.model_copy(update={"worker": "eve"})) == {"lost"}


async def test_a_finished_claim_is_worth_nothing(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.finish()
    before = await setting.jobs.get("job")
    assert await every_write(setting, claim) == {"lost"}
    assert await setting.jobs.get("job") == before


async def test_renewal_keeps_the_lease(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    await setting.expire()
    assert await setting.jobs.renew(claim) == "owned"
    assert await setting.jobs.claim(["encode"], "bob", wait=0) is None
    assert (await setting.jobs.get("job")).tasks[0].attempt == 1


async def test_expired_work_goes_before_new_work(setting: Setting) -> None:
    for job_id in ("first", "second"):
        await setting.jobs.submit(submission(job_id))
    await setting.claim(worker="ann")
    await setting.expire()
    again = await setting.claim(worker="bob")
    assert (again.job_id, again.attempt) == ("first", 2)


async def test_the_last_attempt_lost_ends_the_job(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    for attempt in (1, 2, 3):
        claim = await setting.claim()
        assert claim.attempt == attempt
        await setting.expire()
    assert await setting.jobs.claim(["encode"], "bob", wait=0) is None
    job = await setting.jobs.get("job")
    assert job.state is JobState.FAILED
    assert isinstance(from_dict(job.error), AttemptsExhausted)
    assert [t.state for t in job.tasks] == [TaskState.FAILED, *[TaskState.CANCELLED] * 3]
    assert await setting.jobs.complete(claim, completion(claim)) == "lost"


async def test_a_failure_is_tried_again_while_attempts_are_left(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    for _ in range(2):
        assert await setting.jobs.fail(await setting.claim(), BROKEN, retry=True) == "owned"
        job = await setting.jobs.get("job")
        assert (job.state, job.tasks[0].state) == (JobState.IN_PROGRESS, TaskState.QUEUED)
        assert (job.tasks[0].worker, job.tasks[0].started_at) == (None, None)
    assert await setting.jobs.fail(await setting.claim(), BROKEN, retry=True) == "owned"
    job = await setting.jobs.get("job")
    assert (job.state, job.tasks[0].attempt) == (JobState.FAILED, 3)
    assert job.error is not None
    assert job.error["code"] == AttemptsExhausted.code
    assert "the stage broke" in job.error["message"]
    assert [dead.id for dead in await setting.jobs.dead(10)] == ["job"]
    await setting.jobs.requeue("job")
    assert (await setting.claim()).attempt == 1


async def test_a_final_failure_drops_the_other_tasks(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    await setting.finish()
    left, right = await setting.claim("denoise/small"), await setting.claim("denoise/small", "bob")
    assert await setting.jobs.fail(left, BROKEN, retry=False) == "owned"
    assert await setting.jobs.renew(right) == "cancelled"
    states = [t.state for t in (await setting.jobs.get("job")).tasks]
    assert states == [TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.CANCELLED]


async def test_release_keeps_the_place_and_the_attempts(setting: Setting) -> None:
    for job_id in ("first", "second"):
        await setting.jobs.submit(submission(job_id))
    for _ in range(5):
        claim = await setting.claim()
        assert (claim.job_id, claim.attempt) == ("first", 1)
        assert await setting.jobs.release(claim) == "owned"
        assert await setting.jobs.renew(claim) == "lost"
        task = (await setting.jobs.get("first")).tasks[0]
        assert (task.state, task.attempt, task.worker) == (TaskState.QUEUED, 0, None)
    assert [(await setting.finish()).job_id for _ in range(2)] == ["first", "second"]


async def test_completion_without_a_promised_output_is_refused(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    before = await setting.jobs.get("job")
    with pytest.raises(StageFailed, match="out"):
        await setting.jobs.complete(claim, Completion(outputs={}, memo=True, stage_seconds=0))
    assert await setting.jobs.get("job") == before
    assert await setting.jobs.complete(claim, completion(claim)) == "owned"


async def test_progress_is_recorded_exactly(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    for step in range(36):
        assert await setting.jobs.progress(claim, step, 35) == "owned"
        job = await setting.jobs.get("job")
        assert (job.tasks[0].step, job.tasks[0].num_steps) == (step, 35)
        assert job.progress == step / 35


async def woken_by(setting: Setting, cause: Any) -> Claim | None:
    """What a worker that already waits is given when `cause` happens."""
    waiting = asyncio.create_task(setting.jobs.claim(["encode"], "bob", wait=10))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await cause
    return await asyncio.wait_for(waiting, 8)


async def test_a_waiting_worker_is_woken_by_a_submission(setting: Setting) -> None:
    claim = await woken_by(setting, setting.jobs.submit(submission()))
    assert claim is not None
    assert claim.attempt == 1


async def test_a_waiting_worker_is_woken_by_a_release(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await woken_by(setting, setting.jobs.release(await setting.claim()))
    assert claim is not None
    assert claim.attempt == 1


async def test_a_waiting_worker_is_woken_by_a_retry(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await woken_by(setting, setting.jobs.fail(await setting.claim(), BROKEN, retry=True))
    assert claim is not None
    assert claim.attempt == 2


async def test_a_claim_waits_no_longer_than_it_was_told(setting: Setting) -> None:
    start = asyncio.get_running_loop().time()
    assert await setting.jobs.claim(["encode"], "ann", wait=0.2) is None
    assert 0.15 < asyncio.get_running_loop().time() - start < 5


async def test_a_claim_given_up_takes_nothing_with_it(setting: Setting) -> None:
    waiting = asyncio.create_task(setting.jobs.claim(["encode"], "ann", wait=10))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await setting.jobs.submit(submission())
    assert (await setting.claim(worker="bob")).attempt == 1


@pytest.fixture(params=["memory", "redis"])
def brief(request: pytest.FixtureRequest) -> Jobs:
    """Each store in turn, with leases of 0.6 seconds."""
    return MemoryJobs(lease=0.6) if request.param == "memory" else RedisJobs(request.getfixturevalue("client"), lease=0.6)


async def test_a_waiting_worker_wakes_when_a_lease_runs_out(brief: Jobs) -> None:
    await brief.submit(submission())
    await brief.claim(["encode"], "ann", wait=0)
    await asyncio.sleep(0.4)
    async with asyncio.timeout(5):
        claim = await brief.claim(["encode"], "bob", wait=60)
    assert claim is not None
    assert claim.attempt == 2


async def test_two_hundred_jobs_by_four_workers_are_each_done_once(setting: Setting) -> None:
    for n in range(200):
        await setting.jobs.submit(submission(f"job-{n}"))
    done: list[str] = []

    async def work(worker: str) -> None:
        while claim := await setting.jobs.claim(["encode"], worker, wait=0.1):
            assert await setting.jobs.complete(claim, completion(claim)) == "owned"
            done.append(claim.job_id)

    await asyncio.gather(*(work(f"worker-{n}") for n in range(4)))
    assert sorted(done) == sorted(f"job-{n}" for n in range(200))
    status = (await setting.jobs.pools())["encode"]
    assert (status.waiting, status.running) == (0, 0)
