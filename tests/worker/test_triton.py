"""A worker over a real Triton: preempted and drained, the job ends with the bytes of a calm run."""

from __future__ import annotations

import pytest

from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Priority
from orrery.worker.runner import CheckpointPolicy
from orrery.worker.triton_client import TritonStages
from worker.rig import Rig, eventually, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = 250


async def test_preempted_and_handed_on_the_result_is_the_same(triton: TritonStages) -> None:
    calm, rig = Rig(MemoryJobs()), Rig(MemoryJobs())
    async with working(calm.worker(triton)):
        await calm.submit(num_steps=STEPS)
        await calm.ended()
    leaving = rig.worker(triton, "leaving", drain=0.3, checkpoints=CheckpointPolicy(seconds=0.05, steps=0))
    async with working(leaving) as (run,):
        await rig.submit("batch", num_steps=STEPS, priority=Priority.BATCH)
        await eventually(lambda: _past(rig, 5))
        await rig.submit("now", num_steps=2, seed=9, priority=Priority.INTERACTIVE)
        await rig.ended("now")
        before = (await rig.task("batch")).checkpoint_step or 0
        await eventually(lambda: _past(rig, before + 5))
        leaving.drain()
        await run
    handed_on = await rig.task("batch")
    assert (handed_on.state, handed_on.preemptions) == ("queued", 1)
    assert before < (handed_on.checkpoint_step or 0) < STEPS
    async with working(rig.worker(triton, "staying")):
        await rig.ended("batch")
    task = await rig.task("batch")
    assert (task.worker, task.steps_run, task.attempt) == ("staying", STEPS, 1)
    assert await rig.result("batch") == await calm.result()


async def _past(rig: Rig, step: int) -> bool:
    return ((await rig.task("batch")).step or 0) >= step
