"""A worker over a real Triton: preempted, drained or bereft of its server, the job ends with the bytes of a calm run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import httpx
import psutil
import pytest

from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Priority
from orrery.worker.runner import CheckpointPolicy
from orrery.worker.triton_client import TritonStages
from orrery.worker.triton_server import TritonServer
from orrery.worlds.contracts import DENOISER
from stubs import stubs_of
from worker.rig import Rig, eventually, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = 250


async def test_preempted_and_handed_on_the_result_is_the_same(triton: TritonStages) -> None:
    rig = Rig(MemoryJobs())
    expected = await calmly(triton)
    leaving = rig.worker(triton, "leaving", drain=0.05, checkpoints=CheckpointPolicy(seconds=0.05, steps=0))
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
    assert await rig.result("batch") == expected


@pytest.mark.parametrize(
    ("who", "blow"),
    [("triton", signal.SIGKILL), ("stub", signal.SIGKILL), ("stub", signal.SIGSEGV)],
    ids=["a Triton killed", "a stub killed", "a stub crashed"],
)
async def test_what_dies_costs_the_steps_since_the_last_checkpoint(
    who: str, blow: signal.Signals, triton: TritonStages, triton_server: TritonServer
) -> None:
    rig = Rig(MemoryJobs())
    expected = await calmly(triton)
    async with working(rig.worker(triton, checkpoints=CheckpointPolicy(seconds=0.05, steps=0))):
        await rig.submit("batch", num_steps=STEPS)
        await eventually(lambda: _past(rig, 100))
        PROCESSES[who](triton_server).send_signal(blow)
        await rig.ended("batch", seconds=60)
    task = await rig.task("batch")
    assert (task.state, task.attempt) == ("done", 2)
    assert STEPS <= task.steps_run < STEPS + 50, "far fewer than the hundred that were done"
    assert await rig.result("batch") == expected


async def test_a_stub_that_died_while_nobody_asked_costs_an_attempt(triton: TritonStages, triton_server: TritonServer) -> None:
    rig = Rig(MemoryJobs())
    expected = await calmly(triton)
    PROCESSES["stub"](triton_server).kill()
    async with working(rig.worker(triton)):
        await rig.submit("batch", num_steps=STEPS)
        await rig.ended("batch", seconds=60)
    task = await rig.task("batch")
    assert (task.state, task.attempt, task.steps_run) == ("done", 2, STEPS)
    assert await rig.result("batch") == expected


async def test_a_triton_tells_its_metrics_once_every_model_is_loaded_which_is_how_a_stage_is_known_to_be_ready(
    triton: TritonStages, triton_server: TritonServer
) -> None:
    url = f"http://127.0.0.1:{triton_server.options.metrics_port}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(120):
        assert await _answers(client, url)
        assert triton_server.pid is not None
        os.kill(triton_server.pid, signal.SIGKILL)
        while await _answers(client, url):
            await asyncio.sleep(0.01)
        while not await _answers(client, url):
            await asyncio.sleep(0.01)
        # A channel that was there before waits a while until it tries again.
        fresh = TritonStages(f"127.0.0.1:{triton_server.options.grpc_port}", shm_bytes=1 << 28)
        assert [await fresh.ready(model) for model in triton_server.options.models] == [True, True]
        await fresh.aclose()
    async with asyncio.timeout(60):
        while not await triton.ready(DENOISER.name):
            await asyncio.sleep(0.1)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


async def calmly(triton: TritonStages) -> bytes:
    """The result of a run that nobody disturbs."""
    rig = Rig(MemoryJobs())
    async with working(rig.worker(triton)):
        await rig.submit(num_steps=STEPS)
        await rig.ended()
    return await rig.result()


def _denoiser_of(server: TritonServer) -> psutil.Process:
    (stub,) = stubs_of(psutil.Process(server.pid), DENOISER.name)
    return stub


PROCESSES: dict[str, Callable[[TritonServer], psutil.Process]] = {
    "triton": lambda server: psutil.Process(server.pid),
    "stub": _denoiser_of,
}


async def _past(rig: Rig, step: int) -> bool:
    return ((await rig.task("batch")).step or 0) >= step
