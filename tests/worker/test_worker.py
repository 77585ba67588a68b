"""A worker among its stores: what it makes, remembers, retries, keeps and gives back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import obstore
import pytest
from obstore.store import MemoryStore
from safetensors.numpy import load

from orrery.artifacts import ObjectArtifacts
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JobState, Priority, TaskState
from orrery.worker.runner import CheckpointPolicy
from orrery.worker.stage_client import InProcessStages
from orrery.worlds.errors import InvalidField, StageUnavailable
from orrery.worlds.plan import Task
from worker.rig import COMPONENT, FakeDenoiser, Line, Rig, answer, eventually, working


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryJobs())


def value(result: bytes) -> float:
    return float(load(result)["latents"].item())


EVERY_TWO = CheckpointPolicy(seconds=0, steps=2)


async def test_a_task_is_run_once_and_remembered(rig: Rig) -> None:
    denoiser = FakeDenoiser()
    async with working(rig.worker(denoiser)):
        await rig.submit("first")
        await rig.ended("first")
        await rig.submit("again")
        await rig.ended("again")
    assert (await rig.job("again")).state is JobState.COMPLETED
    assert (denoiser.calls, denoiser.ran) == (1, list(range(1, 21)))
    assert [(await rig.task(job)).memo for job in ("first", "again")] == [False, True]
    assert value(await rig.result("again")) == value(await rig.result("first")) == answer(3, 20)
    assert (await rig.task("first")).step == (await rig.task("first")).steps_run == 20


async def test_how_work_is_kept_is_no_part_of_what_it_is(rig: Rig) -> None:
    """A memo made under one policy is one under every other."""
    denoiser = FakeDenoiser()
    for job, policy in (("first", CheckpointPolicy(seconds=0, steps=3)), ("again", CheckpointPolicy(seconds=9, steps=0))):
        async with working(rig.worker(denoiser, checkpoints=policy)):
            await rig.submit(job)
            await rig.ended(job)
    assert denoiser.calls == 1


async def test_a_stage_that_refuses_ends_the_job_in_its_own_words(rig: Rig) -> None:
    denoiser = FakeDenoiser(trouble=(3, InvalidField("no such sampler", field="sampler")))
    async with working(rig.worker(denoiser)):
        await rig.submit()
        job = await rig.ended()
    assert (job.state, job.tasks[0].attempt) == (JobState.FAILED, 1)
    assert job.error == {"code": "invalid_field", "message": "no such sampler", "field": "sampler"}


@pytest.mark.parametrize("seconds", [0.0, 0.03])
@pytest.mark.parametrize("trouble", [StageUnavailable("Triton is gone"), RuntimeError("out of memory")])
async def test_what_may_pass_is_tried_again_from_the_last_checkpoint(rig: Rig, trouble: Exception, seconds: float) -> None:
    denoiser = FakeDenoiser(seconds=seconds, trouble=(13, trouble))
    async with working(rig.worker(denoiser, checkpoints=EVERY_TWO)):
        await rig.submit()
        job = await rig.ended()
    assert (job.state, job.tasks[0].attempt) == (JobState.COMPLETED, 2)
    assert value(await rig.result()) == answer(3, 20)
    assert denoiser.ran == list(range(1, 21)), "nothing that was handed out is lost"
    assert job.tasks[0].steps_run == 20


async def test_attempts_come_to_an_end(rig: Rig) -> None:
    def broken(values: Any, call: Any) -> Any:
        raise StageUnavailable("Triton is gone")

    async with working(rig.worker(InProcessStages({"denoiser": broken}))):
        await rig.submit()
        job = await rig.ended()
    assert (job.state, job.tasks[0].attempt) == (JobState.FAILED, 3)
    assert job.error is not None
    assert job.error["code"] == "attempts_exhausted"
    assert "Triton is gone" in job.error["message"]


async def test_checkpoints_reach_both_stores_as_they_come(rig: Rig) -> None:
    queue = Line(rig.jobs)
    denoiser = FakeDenoiser(seconds=0.25)
    async with working(rig.worker(denoiser, queue=queue, checkpoints=EVERY_TWO)):
        await rig.submit(num_steps=7)
        await eventually(lambda: queue.of("checkpoint"))
        task = await rig.task()
        assert task.checkpoint_step in (2, 4, 6)
        await rig.ended()
    assert queue.of("checkpoint") == [2, 4, 6]
    assert queue.of("progress") == [1, 2, 3, 4, 5, 6, 7]


async def test_quick_steps_are_told_ten_times_a_second_and_the_last_one_always(rig: Rig) -> None:
    queue = Line(rig.jobs)
    started = time.monotonic()
    async with working(rig.worker(FakeDenoiser(seconds=0.005), queue=queue)):
        await rig.submit(num_steps=100)
        await rig.ended()
    told = queue.of("progress")
    assert told == sorted(set(told))
    assert told[-1] == 100
    assert len(told) <= 10 * (time.monotonic() - started) + 2
    assert len(told) < 100


@pytest.mark.parametrize("fate", ["refused", "gone"])
async def test_without_its_checkpoint_a_task_starts_over(fate: str) -> None:
    objects = MemoryStore()
    rig = Rig(MemoryJobs(lease=2.0), ObjectArtifacts(objects), lease=2.0)
    denoiser = FakeDenoiser(seconds=0.02)
    async with working(rig.worker(denoiser, checkpoints=CheckpointPolicy(seconds=0, steps=12))):
        await rig.submit()
        await eventually(lambda: _is_kept(rig, 12))
    crashed = await rig.jobs.claim([f"denoiser/{COMPONENT}"], "x", wait=10)
    assert crashed is not None
    assert crashed.checkpoint is not None
    await rig.jobs.release(crashed)
    denoiser.refuses = fate == "refused"
    if fate == "gone":
        digest = crashed.checkpoint.digest
        obstore.delete(objects, f"sha256/{digest[:2]}/{digest}")
    denoiser.ran.clear()
    async with working(rig.worker(denoiser)):
        job = await rig.ended()
    assert job.state is JobState.COMPLETED
    assert denoiser.ran == list(range(1, 21))
    assert value(await rig.result()) == answer(3, 20)


async def _is_kept(rig: Rig, step: int) -> bool:
    return (await rig.task()).checkpoint_step == step


async def test_a_cancelled_job_frees_the_stage_at_the_next_step(rig: Rig) -> None:
    denoiser = FakeDenoiser(seconds=0.05)
    async with working(rig.worker(denoiser)):
        await rig.submit("long", num_steps=1000)
        await eventually(lambda: denoiser.ran)
        before = len(denoiser.ran)
        await rig.jobs.cancel("long")
        await asyncio.sleep(0.5)
        await rig.submit("next", num_steps=2)
        await rig.ended("next")
        assert len(denoiser.ran) - before < 20
    assert denoiser.ran[-2:] == [1, 2]
    assert (await rig.job("long")).state is JobState.CANCELLED


async def test_an_interactive_job_displaces_a_batch_one_which_goes_on_with_the_same_result(rig: Rig) -> None:
    denoiser = FakeDenoiser(seconds=0.02)
    async with working(rig.worker(denoiser)):
        await rig.submit("batch", num_steps=60, priority=Priority.BATCH)
        await eventually(lambda: len(denoiser.ran) >= 5)
        await rig.submit("now", num_steps=3, seed=8, priority=Priority.INTERACTIVE)
        await rig.ended("now")
        assert (await rig.job("batch")).state is JobState.IN_PROGRESS
        await rig.ended("batch")
    first = denoiser.ran.index(1, 1)
    assert denoiser.ran[first : first + 3] == [1, 2, 3]
    assert denoiser.ran[:first] + denoiser.ran[first + 3 :] == list(range(1, 61)), "no step of the batch job is run twice"
    assert value(await rig.result("batch")) == answer(3, 60)
    task = await rig.task("batch")
    assert (task.preemptions, task.attempt, task.steps_run) == (1, 1, 60)


async def test_what_will_not_be_done_in_time_is_handed_on_at_the_next_step(rig: Rig) -> None:
    one, two = FakeDenoiser(seconds=0.02), FakeDenoiser(seconds=0)
    leaving = rig.worker(one, "leaving", drain=6.0)
    async with working(leaving) as (run,):
        await rig.submit(num_steps=1000)
        await eventually(lambda: len(one.ran) >= 5)
        leaving.drain()
        started = time.monotonic()
        await run
        assert time.monotonic() - started < 5, "nobody waits for the grace period to end"
    task = await rig.task()
    assert (task.state, task.attempt, task.checkpoint_step) == (TaskState.QUEUED, 0, len(one.ran))
    async with working(rig.worker(two, "staying")):
        await rig.ended()
    assert one.ran + two.ran == list(range(1, 1001))
    assert value(await rig.result()) == answer(3, 1000)


async def test_what_will_be_done_in_time_is_finished(rig: Rig) -> None:
    denoiser = FakeDenoiser(seconds=0.02)
    worker = rig.worker(denoiser, drain=10.0)
    async with working(worker) as (run,):
        await rig.submit(num_steps=40)
        await eventually(lambda: len(denoiser.ran) >= 5)
        await rig.submit("later")
        worker.drain()
        await run
    assert (await rig.job()).state is JobState.COMPLETED
    assert (await rig.job("later")).state is JobState.QUEUED
    assert denoiser.calls == 1


async def test_a_stage_that_cannot_yield_is_given_the_whole_grace_period(rig: Rig) -> None:
    def decode(values: Any, call: Any) -> dict[str, Any]:
        time.sleep(values["seconds"])
        return {"frames": np.zeros((1, 1, 1, 3), np.uint8)}

    for job, seconds, ends in (("quick", 0.2, True), ("slow", 1.0, False)):
        task = Task(id="decode", stage="video_decoder", parameters={"seconds": seconds})
        await rig.submit_task(job, task, "frames")
        worker = rig.worker(InProcessStages({"video_decoder": decode}), drain=0.5)
        async with working(worker) as (run,):
            await eventually(lambda job=job: _runs(rig, job))
            worker.drain()
            await run
        assert (await rig.job(job)).state.ended is ends
    task_row = await rig.task("slow")
    assert (task_row.state, task_row.attempt) == (TaskState.QUEUED, 0)


async def _runs(rig: Rig, job: str) -> bool:
    return (await rig.task(job)).state is TaskState.RUNNING


async def test_a_checkpoint_that_cannot_be_stored_stops_nothing(rig: Rig) -> None:
    class Full(ObjectArtifacts):
        async def put(self, data: Any, *, media_type: str = "x") -> Any:
            if len(data) == 16:
                raise OSError("no space left on device")
            return await super().put(data, media_type=media_type)

    rig.artifacts = Full(MemoryStore())
    async with working(rig.worker(FakeDenoiser(), checkpoints=EVERY_TWO)):
        await rig.submit()
        assert (await rig.ended()).state is JobState.COMPLETED
    assert value(await rig.result()) == answer(3, 20)
