"""A worker that cannot reach the store, that was frozen, or that lost its lease, writes nothing that it should not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest
from safetensors.numpy import load

from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JobState
from orrery.telemetry.process import Telemetry
from orrery.worker.holding import Holding, Pace, TaskLost
from orrery.worker.observing import Observer
from orrery.worker.runner import CheckpointPolicy
from worker.rig import COMPONENT, FakeDenoiser, Line, Rig, answer, eventually, working

LEASE = 0.6
LONGER = 2.5
"""For those to whom a lease that the machine was too busy to renew would look like the one they take away themselves."""
EVERY_STEP = CheckpointPolicy(seconds=0, steps=1)


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryJobs(lease=LEASE), lease=LEASE)


@pytest.fixture
def longer() -> Rig:
    return Rig(MemoryJobs(lease=LONGER), lease=LONGER)


async def value(rig: Rig) -> float:
    return float(load(await rig.result())["latents"].item())


async def test_an_outage_shorter_than_the_lease_costs_no_step(longer: Rig) -> None:
    queue, denoiser = Line(longer.jobs), FakeDenoiser(seconds=0.02)
    async with working(longer.worker(denoiser, queue=queue)):
        await longer.submit(num_steps=80)
        await eventually(lambda: len(denoiser.ran) >= 5)
        queue.cut = True
        await asyncio.sleep(LONGER * 0.4)
        queue.cut = False
        await longer.ended()
    assert denoiser.ran == list(range(1, 81))
    assert (await longer.task()).leases_lost == 0


async def test_work_that_is_done_during_an_outage_is_completed_after_it(rig: Rig) -> None:
    queue, denoiser = Line(rig.jobs), FakeDenoiser(seconds=0.01)
    async with working(rig.worker(denoiser, queue=queue)):
        await rig.submit(num_steps=10)
        await eventually(lambda: denoiser.ran)
        queue.cut = True
        await eventually(lambda: len(denoiser.ran) == 10)
        await asyncio.sleep(0.1)
        queue.cut = False
        await rig.ended()
    task = await rig.task()
    assert (denoiser.calls, task.leases_lost, task.memo) == (1, 0, False)


async def test_cut_off_for_longer_a_worker_stops_by_its_own_clock_and_another_goes_on(longer: Rig) -> None:
    queue, one, two = Line(longer.jobs), FakeDenoiser(seconds=0.02), FakeDenoiser(seconds=0.02)
    async with working(longer.worker(one, "cut", queue=queue, checkpoints=EVERY_STEP)):
        await longer.submit(num_steps=300)
        await eventually(lambda: queue.of("checkpoint"))
        queue.cut = True
        kept = (await longer.task()).checkpoint_step or 0
        written = len(queue.written)
        async with working(longer.worker(two, "other")):
            await eventually(lambda: two.ran)
            await asyncio.sleep(0.1)
            stopped = len(one.ran)
            assert stopped < 260
            queue.cut = False
            await longer.ended()
            await asyncio.sleep(0.1)
        late = [entry for entry in queue.written[written:] if entry[0] not in ("ask", "announce")]
    assert late == []
    assert len(one.ran) == stopped, "nothing was computed by the stale owner after its lease"
    assert two.ran == list(range(kept + 1, 301))
    assert await value(longer) == answer(3, 300)
    task = await longer.task()
    assert (task.worker, task.leases_lost, task.attempt) == ("other", 1, 2)


async def test_a_worker_that_was_frozen_writes_nothing_and_claims_afresh(longer: Rig) -> None:
    queue, denoiser = Line(longer.jobs), FakeDenoiser(seconds=0.02)
    async with working(longer.worker(denoiser, queue=queue, checkpoints=EVERY_STEP)):
        await longer.submit(num_steps=80)
        await eventually(lambda: queue.of("checkpoint"))
        written = len(queue.written)
        time.sleep(LONGER * 1.2)  # as SIGSTOP does: nothing of this process's loop runs, the clock does
        await longer.ended()
    first = next(name for name, _ in queue.written[written:] if name != "announce")
    assert first == "ask", "what it had claimed is not spoken of any more"
    task = await longer.task()
    assert (task.leases_lost, task.attempt) == (1, 2)
    assert await value(longer) == answer(3, 80)


async def test_a_lease_that_was_given_to_another_stops_the_work(rig: Rig) -> None:
    """The store forgets the claim, as after its own restart without the last second."""
    queue, denoiser = Line(rig.jobs), FakeDenoiser(seconds=0.02)
    worker = rig.worker(denoiser, queue=queue, drain=0.0)
    async with working(worker) as (run,):
        await rig.submit(num_steps=1000)
        await eventually(lambda: len(denoiser.ran) >= 3)
        (holding,) = worker._held.values()
        await rig.jobs.release(holding.claim)
        other = await rig.jobs.claim([f"denoiser/{COMPONENT}"], "other", wait=1)
        assert other is not None
        await eventually(lambda: not worker._held)
        stopped = len(denoiser.ran)
        await asyncio.sleep(0.1)
        assert len(denoiser.ran) <= stopped + 1
        worker.drain()
        await run
    assert (await rig.job()).state is JobState.IN_PROGRESS
    assert queue.of("complete", "release") == []


async def test_a_store_that_is_away_at_the_end_of_a_drain_keeps_nobody(rig: Rig) -> None:
    queue, denoiser = Line(rig.jobs), FakeDenoiser(seconds=0.02)
    worker = rig.worker(denoiser, queue=queue, drain=0.2)
    async with working(worker) as (run,):
        await rig.submit(num_steps=1000)
        await eventually(lambda: len(denoiser.ran) >= 3)
        queue.cut = True
        worker.drain()
        async with asyncio.timeout(10):
            await run
    async with working(rig.worker(FakeDenoiser(seconds=0), "next")):
        await rig.ended()
    assert await value(rig) == answer(3, 1000)


async def test_a_signal_that_is_missed_is_made_up_for_by_the_next_answer(rig: Rig) -> None:
    queue, denoiser = Line(rig.jobs), FakeDenoiser(seconds=0.02)
    async with working(rig.worker(denoiser, queue=queue)):
        await rig.submit(num_steps=1000)
        await eventually(lambda: len(denoiser.ran) >= 3)
        queue.cut = True
        await rig.jobs.cancel("job")
        await asyncio.sleep(0.1)
        queue.cut = False
        before = len(denoiser.ran)
        await rig.submit("next", num_steps=2)
        await rig.ended("next")
    assert len(denoiser.ran) - before < 200


async def test_a_worker_that_cannot_watch_does_not_go_on_blindly(rig: Rig) -> None:
    class Broken(Line):
        async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
            if seconds:
                raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(rig.worker(FakeDenoiser(), queue=Broken(rig.jobs)).run(), 5)


async def test_an_answer_that_comes_too_late_revives_nothing(rig: Rig) -> None:
    await rig.submit()
    claim = await rig.jobs.claim([f"denoiser/{COMPONENT}"], "x", wait=1)
    assert claim is not None
    with Observer(Telemetry()).task(claim) as watch:
        holding = Holding(claim, 0.05, watch)
    await holding.until_over()
    holding.renewed(await rig.jobs.renew(claim))
    assert holding.over
    with pytest.raises(TaskLost):
        await holding.say(lambda: rig.jobs.release(claim))


def test_a_pace_is_known_after_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace()
    assert pace.remaining() == float("inf")
    for step in (7, 8, 9):
        pace.passed(step, 12)
        assert (pace.remaining() == float("inf")) is (step == 7)
        now[0] += 2.0
    assert pace.remaining() == pytest.approx(6.0), "three steps and one to be on the safe side, two seconds ago"
