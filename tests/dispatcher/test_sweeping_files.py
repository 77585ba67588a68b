"""Retention of what clients put here themselves: files, and what batches need while they run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dispatcher.test_sweeping import GRACE, House, house
from dispatcher.work import Clock, Jobs
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.batches.records import BatchState, Order, Page
from orrery.jobs.batches.redis import RedisBatches
from orrery.jobs.batches.store import Batches
from orrery.jobs.files import Files, MemoryFiles, RedisFiles, StoredFile
from orrery.jobs.memory import MemoryJobs
from orrery.worlds.errors import BatchNotFound, FileNotKnown
from orrery.worlds.plan import ArtifactRef

MONTH = 30 * 24 * 3600.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(request: pytest.FixtureRequest, jobs: Jobs, clock: Clock) -> Files:
    return MemoryFiles(clock) if isinstance(jobs, MemoryJobs) else RedisFiles(request.getfixturevalue("client"), clock)


@pytest.fixture
def batches(request: pytest.FixtureRequest, jobs: Jobs, clock: Clock) -> Batches:
    return MemoryBatches(clock) if isinstance(jobs, MemoryJobs) else RedisBatches(request.getfixturevalue("client"), clock)


@pytest.fixture
def here(jobs: Jobs, tmp_path: Path, files: Files, batches: Batches, clock: Clock) -> House:
    return house(jobs, tmp_path, clock=clock, files=files, batches=batches)


async def entered(files: Files, content: ArtifactRef, *, seconds: float | None = None) -> None:
    expires_at = None if seconds is None else time.time() + seconds
    given = {"tenant": "ann", "filename": "x", "purpose": "batch", "created_at": time.time()}
    await files.put(StoredFile(id="file", content=content, expires_at=expires_at, **given))


def order(content: ArtifactRef) -> Order:
    times = {"completion_window": "24h", "created_at": 0.0, "expires_at": 86400.0}
    return Order(id="b", tenant="ann", endpoint="/v1/videos", input_file_id="file", input=content, **times)


async def test_a_file_keeps_its_content_until_it_is_deleted(here: House, files: Files) -> None:
    content, other = await here.artifacts.put(b"content"), await here.artifacts.put(b"other")
    await entered(files, content)
    await here.hours(2)
    assert (await here.has(content), await here.has(other)) == (True, False)
    await files.delete("file", "ann")
    await here.hours(2)
    assert not await here.has(content)


async def test_an_expired_file_goes_and_then_its_content(here: House, files: Files) -> None:
    content = await here.artifacts.put(b"content")
    await entered(files, content, seconds=1.5 * GRACE)
    await here.hours(1)
    assert await here.has(content)
    await here.hours(2)
    assert not await here.has(content)
    assert [digest async for digest in files.live_artifacts()] == []
    with pytest.raises(FileNotKnown):
        await files.get("file", "ann")


async def test_a_batch_keeps_what_it_reads_until_it_ends(here: House, batches: Batches) -> None:
    content, page = await here.artifacts.put(b"input"), await here.artifacts.put(b"page")
    await batches.create(order(content))
    await batches.keep("b", Page(first=1, count=1, content=page), [])
    await here.hours(2)
    assert await here.has(content)
    assert await here.has(page)
    await batches.move("b", BatchState.CANCELLING)
    await batches.move("b", BatchState.CANCELLED)
    await here.hours(2)
    assert not await here.has(content)
    assert not await here.has(page)


async def test_a_batch_that_ended_long_ago_is_forgotten(here: House, batches: Batches, clock: Clock) -> None:
    await batches.create(order(await here.artifacts.put(b"input")))
    await batches.move("b", BatchState.FAILED)
    clock.ahead += MONTH - 60
    await here.sweeper.sweep()
    assert (await batches.get("b", "ann")).state == "failed"
    clock.ahead += 61
    await here.sweeper.sweep()
    with pytest.raises(BatchNotFound):
        await batches.get("b", "ann")
