"""A worker that serves several pools with one pair of hands."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from jobs.setting import Setting, completion, submission
from orrery.jobs.redis import RedisJobs
from orrery.worlds.errors import StoreUnavailable
from orrery.worlds.plan import Plan, Task, TaskOutput


async def test_all_pools_are_asked(setting: Setting) -> None:
    await setting.jobs.submit(submission("one"))
    assert await setting.jobs.claim(["decode", "denoise/small"], "ann", wait=0) is None
    claim = await setting.jobs.claim(["decode", "encode"], "ann", wait=0)
    assert claim is not None
    assert claim.task.pool == "encode"


async def test_work_in_any_of_the_pools_wakes_the_worker(setting: Setting) -> None:
    waiting = asyncio.create_task(setting.jobs.claim(["decode", "encode"], "ann", wait=10))
    await asyncio.sleep(0.05)
    await setting.jobs.submit(submission("one"))
    claim = await asyncio.wait_for(waiting, 8)
    assert claim is not None
    assert claim.task.pool == "encode"


def fork() -> Plan:
    """One task whose end queues two others, of two pools, at the same moment."""
    top = TaskOutput(task="top", output="out")
    left = Task(id="left", stage="denoise", component="small", inputs={"in": top})
    right = Task(id="right", stage="decode", inputs={"in": top})
    return Plan(tasks=(Task(id="top", stage="encode"), left, right), result={})


async def test_a_read_that_brings_two_tasks_keeps_one(setting: Setting) -> None:
    """What came with the first goes to somebody else, without a lease to wait for."""
    await setting.jobs.submit(submission("one", fork()))
    top = await setting.claim("encode", "ann")
    waiting = asyncio.create_task(setting.jobs.claim(["denoise/small", "decode"], "bob", wait=10))
    await asyncio.sleep(0.05)
    await setting.jobs.complete(top, completion(top))
    first = await asyncio.wait_for(waiting, 8)
    second = await setting.jobs.claim(["denoise/small", "decode"], "cid", wait=2)
    assert first is not None
    assert second is not None
    assert {first.task.id, second.task.id} == {"left", "right"}
    assert (first.worker, second.worker) == ("bob", "cid")
    assert second.attempt == 1


async def test_a_server_that_is_not_there_is_named() -> None:
    jobs = RedisJobs(Redis.from_url("redis://127.0.0.1:1", decode_responses=True))
    with pytest.raises(StoreUnavailable):
        await jobs.claim(["encode"], "ann", wait=0)
    with pytest.raises(StoreUnavailable):
        await jobs.pools()
    await jobs.aclose()
