"""A feeder may die anywhere, and another may take the same step meanwhile: each line is still one job and one answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.batching import ENDED, PAUSE, content, feeder_of, jobs_of, line, ordered, read, steps, work_all
from gateway.rig import Rig, rig_of
from orrery.gateway.batching.feeder import Feeder
from orrery.gateway.context import Gateway

LINES = [line(f"w{n}", **({} if n != 3 else {"seed": -1})) for n in range(6)]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Where what a dead feeder was lent is due again at once."""
    monkeypatch.setattr("orrery.gateway.batching.feeder.LENT_SECONDS", 0.01)
    async with rig_of(batch_open_lines=3, **PAUSE) as rig:
        yield rig


class Died(BaseException):
    """The process is no more."""


class Mortal:
    """A store whose caller dies at its `last` call, before or after that is done; calls of all stores of one life count."""

    def __init__(self, store: Any, life: Life) -> None:
        self._store = store
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._life.calls += 1
            if self._life.calls > self._life.last - self._life.before:
                raise Died
            answer = await method(*args, **kwargs)
            if self._life.calls >= self._life.last:
                raise Died
            return answer

        return call


NEVER = 10**9


class Life:
    def __init__(self, last: int = NEVER, *, before: bool = False) -> None:
        self.last = last
        self.before = before
        self.calls = 0


def mortal(rig: Rig, life: Life) -> Feeder:
    gateway: Gateway = rig.app.state.gateway
    stores = {name: Mortal(getattr(gateway, name), life) for name in ("jobs", "batches", "files")}
    return Feeder(replace(gateway, **stores), None)


async def stepped(feeder: Feeder) -> None:
    while not await feeder.step():
        await asyncio.sleep(0.002)


async def lived(rig: Rig, batch_id: str, life: Life) -> bool:
    """Works until the batch has ended, or the feeder has died."""
    feeder = mortal(rig, life)
    while (await read(rig, batch_id))["status"] not in ENDED:
        try:
            await stepped(feeder)
        except Died:
            return False
        await work_all(rig)
    return True


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_wherever_a_feeder_dies_another_goes_on(rig: Rig, before: bool) -> None:
    immortal, last = False, 0
    while not immortal:
        last += 1
        known = {job.id for job in await jobs_of(rig)}
        batch = await ordered(rig, *LINES)
        immortal = await lived(rig, batch["id"], Life(last, before=before))
        assert immortal or await lived(rig, batch["id"], Life())
        ended = await read(rig, batch["id"])
        assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 6, "completed": 5, "failed": 1}), last
        good, bad = await content(rig, ended["output_file_id"]), await content(rig, ended["error_file_id"])
        assert [one["custom_id"] for one in good] == ["w0", "w1", "w2", "w4", "w5"]
        assert [one["custom_id"] for one in bad] == ["w3"]
        made = {job.id for job in await jobs_of(rig)} - known
        assert sorted(made) == sorted(one["response"]["body"]["id"] for one in good), last
    assert last > 20


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_wherever_a_feeder_dies_a_cancelled_batch_leaves_nothing_running(rig: Rig, before: bool) -> None:
    immortal, last = False, 0
    while not immortal:
        last += 1
        batch = await ordered(rig, *LINES)
        feeder = mortal(rig, Life(last, before=before))
        try:
            await stepped(feeder)
            await stepped(feeder)
            await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
            while (await read(rig, batch["id"]))["status"] != "cancelled":
                await stepped(feeder)
            immortal = True
        except Died:
            await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
            while (await read(rig, batch["id"]))["status"] != "cancelled":
                await steps(rig)
        assert {job.state for job in await jobs_of(rig)} <= {"cancelled"}, last
    assert last > 5


async def test_many_feeders_at_once_make_one_job_of_each_line(rig: Rig) -> None:
    batch = await ordered(rig, *LINES)
    feeders = [feeder_of(rig), *(mortal(rig, Life()) for _ in range(4))]

    async def feed(feeder: Feeder) -> None:
        while (await read(rig, batch["id"]))["status"] not in ENDED:
            await feeder.step()
            # Without a rest five of them leave the worker, who shares their event loop, hardly a turn.
            await asyncio.sleep(0.002)

    async def work() -> None:
        while (await read(rig, batch["id"]))["status"] not in ENDED:
            await work_all(rig)
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await asyncio.gather(work(), *map(feed, feeders))
    ended = await read(rig, batch["id"])
    assert ended["request_counts"] == {"total": 6, "completed": 5, "failed": 1}
    assert len(await jobs_of(rig)) == 5


async def test_a_line_that_is_submitted_while_the_batch_is_cancelled_is_cancelled_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feeder is slow: it submits when everybody else has long done with the batch."""
    monkeypatch.setattr("orrery.gateway.batching.feeder.LENT_SECONDS", 0.05)
    batch = await ordered(rig, line("a"))
    await steps(rig)
    gateway: Gateway = rig.app.state.gateway
    reached, going_on = asyncio.Event(), asyncio.Event()

    class Slow(Mortal):
        async def submit(self, submission: Any) -> Any:
            reached.set()
            await going_on.wait()
            return await self._store.submit(submission)

    slow = Feeder(replace(gateway, jobs=Slow(gateway.jobs, Life())), None)
    late = asyncio.create_task(stepped(slow))
    await reached.wait()
    await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
    while (await read(rig, batch["id"]))["status"] != "cancelled":
        await steps(rig)
    assert await jobs_of(rig) == []
    going_on.set()
    await late
    assert [job.state for job in await jobs_of(rig)] == ["cancelled"]
