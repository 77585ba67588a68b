"""Jobs as a gateway sees them."""

from __future__ import annotations

import pytest

from jobs.setting import Setting, completion, diamond, ref, single, submission
from orrery.jobs.records import JobState, TaskState
from orrery.worlds.errors import JobNotFound


async def test_a_job_is_read_back_as_it_was_submitted(setting: Setting) -> None:
    notes = {"resized": [1280, 704], "scale": 0.1234567890123456, "none": None}
    given = await setting.jobs.submit(submission(plan=diamond(), notes=notes))
    assert given == await setting.jobs.get("job")
    assert given.state is JobState.QUEUED
    assert (given.model, given.workflow, given.notes) == ("mini", "text2world", notes)
    assert given.request == {"prompt": "ein Würfel", "seed": 3}
    assert [(t.id, t.pool) for t in given.tasks[:2]] == [("top", "encode"), ("left", "denoise/small")]
    assert [t.state for t in given.tasks] == [TaskState.QUEUED, *[TaskState.WAITING] * 3]
    assert given.tasks[0].queued_at >= given.created_at
    assert given.started_at is None
    assert given.progress == 0


async def test_a_repeated_submission_changes_nothing(setting: Setting) -> None:
    first = await setting.jobs.submit(submission())
    assert await setting.jobs.submit(submission(model="other")) == first
    await setting.finish()
    assert await setting.jobs.claim(["encode"], "ann", wait=0) is None


async def test_a_diamond_runs_in_order_and_hands_outputs_on(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    top = await setting.finish()
    assert top.inputs == {"image": ref("upload")}
    assert top.attempt == 1
    left = await setting.finish("denoise/small")
    assert (left.task.id, left.inputs) == ("left", {"in": ref("job/top")})
    assert await setting.jobs.claim(["decode"], "ann", wait=0) is None
    await setting.finish("denoise/small", "bob")
    assert (await setting.finish("decode")).inputs == {"in": ref("job/left")}

    job = await setting.jobs.get("job")
    assert job.state is JobState.COMPLETED
    assert job.result == {"video": ref("job/bottom"), "latents": ref("job/left")}
    assert job.progress == 1
    assert [(t.state, t.attempt, t.worker) for t in job.tasks] == [
        (TaskState.DONE, 1, worker) for worker in ("ann", "ann", "bob", "ann")
    ]
    assert {(t.memo, t.stage_seconds) for t in job.tasks} == {(False, 0.25)}
    assert job.tasks[3].outputs == {"out": ref("job/bottom"), "extra": ref("extra")}
    for task in job.tasks:
        assert job.created_at <= task.queued_at <= task.started_at <= task.finished_at <= job.finished_at


async def test_parameters_arrive_bit_for_bit(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    assert claim.task == single().tasks[0]


async def test_unknown_jobs_are_not_found(setting: Setting) -> None:
    with pytest.raises(JobNotFound):
        await setting.jobs.get("none")
    with pytest.raises(JobNotFound):
        await setting.jobs.cancel("none")
    with pytest.raises(JobNotFound):
        await setting.jobs.delete("none")
    with pytest.raises(JobNotFound):
        await setting.jobs.list(after="none", limit=1, order="asc")
    with pytest.raises(JobNotFound):
        await anext(setting.jobs.events(job_id="none"))


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_follow_the_order_of_submission(setting: Setting, order: str) -> None:
    ids = [f"job-{n * 7 % 5}" for n in range(5)]
    for job_id in ids:
        await setting.jobs.submit(submission(job_id))
    if order == "desc":
        ids.reverse()
    pages, after = [], None
    while not pages or pages[-1].has_more:
        pages.append(await setting.jobs.list(after=after, limit=2, order=order))
        after = pages[-1].jobs[-1].id
    assert [[job.id for job in page.jobs] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
    assert pages[0].jobs[0] == await setting.jobs.get(ids[0])
    whole = await setting.jobs.list(after=None, limit=5, order=order)
    assert not whole.has_more
    nothing = await setting.jobs.list(after=ids[-1], limit=5, order=order)
    assert (nothing.jobs, nothing.has_more) == ((), False)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_tenants_pages_have_its_jobs_alone(setting: Setting, order: str) -> None:
    for n in range(6):
        await setting.jobs.submit(submission(f"job-{n}", tenant="even" if n % 2 == 0 else "odd"))
    ids = ["job-0", "job-2", "job-4"] if order == "asc" else ["job-4", "job-2", "job-0"]
    first = await setting.jobs.list(after=None, limit=2, order=order, tenant="even")
    rest = await setting.jobs.list(after=ids[1], limit=2, order=order, tenant="even")
    assert ([job.id for job in first.jobs], first.has_more) == (ids[:2], True)
    assert ([job.id for job in rest.jobs], rest.has_more) == (ids[2:], False)
    with pytest.raises(JobNotFound):
        await setting.jobs.list(after="job-1", limit=2, order=order, tenant="even")
    await setting.jobs.delete("job-2")
    assert [job.id for job in (await setting.jobs.list(after=None, limit=9, order="asc", tenant="even")).jobs] == [
        "job-0",
        "job-4",
    ]
    assert (await setting.jobs.list(after=None, limit=9, order="asc", tenant="nobody")).jobs == ()


async def test_a_queued_job_is_cancelled_at_once_and_never_run(setting: Setting) -> None:
    await setting.jobs.submit(submission("doomed"))
    await setting.jobs.submit(submission("next"))
    job = await setting.jobs.cancel("doomed")
    assert job.state is JobState.CANCELLED
    assert job.tasks[0].state is TaskState.CANCELLED
    assert job.finished_at >= job.created_at
    assert (await setting.claim()).job_id == "next"
    assert await setting.jobs.claim(["encode"], "ann", wait=0) is None
    assert await setting.jobs.cancel("doomed") == job


async def test_a_completed_job_stays_completed(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.finish()
    done = await setting.jobs.get("job")
    assert await setting.jobs.cancel("job") == done
    assert done.state is JobState.COMPLETED


async def test_a_running_job_is_told_of_its_cancellation(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    await setting.finish()
    left, right = await setting.claim("denoise/small"), await setting.claim("denoise/small", "bob")
    await setting.jobs.cancel("job")
    assert await setting.jobs.renew(left) == "cancelled"
    assert await setting.jobs.progress(left, 1, 10) == "cancelled"
    assert await setting.jobs.complete(left, completion(left)) == "cancelled"
    assert await setting.jobs.fail(right, {"code": "stage_failed", "message": "no"}, retry=True) == "cancelled"
    assert await setting.jobs.release(right) == "cancelled"
    job = await setting.jobs.get("job")
    assert [t.state for t in job.tasks] == [TaskState.DONE, *[TaskState.CANCELLED] * 3]
    assert await setting.jobs.claim(["denoise/small"], "ann", wait=0) is None


async def test_delete_forgets_the_job_and_stops_its_workers(setting: Setting) -> None:
    await setting.jobs.submit(submission("kept"))
    await setting.jobs.submit(submission("gone"))
    await setting.finish()
    claim = await setting.claim()
    last = await setting.jobs.delete("gone")
    assert (last.id, last.state) == ("gone", JobState.CANCELLED)
    assert await setting.jobs.renew(claim) == "cancelled"
    assert await setting.jobs.complete(claim, completion(claim)) == "cancelled"
    with pytest.raises(JobNotFound):
        await setting.jobs.get("gone")
    page = await setting.jobs.list(after=None, limit=9, order="asc")
    assert [job.id for job in page.jobs] == ["kept"]


async def test_deleting_an_ended_job_gives_its_end(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.finish()
    assert (await setting.jobs.delete("job")).state is JobState.COMPLETED


async def test_an_id_can_be_used_again_after_deletion(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    stale = await setting.claim()
    await setting.jobs.submit(submission("queued"))
    await setting.jobs.delete("job")
    await setting.jobs.delete("queued")
    await setting.jobs.submit(submission("queued"))
    await setting.jobs.submit(submission())
    assert await setting.jobs.complete(stale, completion(stale)) == "lost"
    assert [(await setting.finish()).job_id for _ in range(2)] == ["queued", "job"]
    assert await setting.jobs.claim(["encode"], "ann", wait=0) is None


async def test_many_jobs_tell_their_states_at_once(setting: Setting) -> None:
    for name in ("waits", "runs", "done"):
        await setting.jobs.submit(submission(name, single(name)))
    await setting.claim("runs")
    await setting.finish("done")
    states = await setting.jobs.states(["done", "none", "waits", "runs"])
    assert states == {"waits": "queued", "runs": "in_progress", "done": "completed"}
    assert await setting.jobs.states([]) == {}
