"""Many followers of one store's events, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from redis.asyncio import Redis

from jobs.setting import LEASE, completion, free_port, submission
from jobs.test_servers import server, store
from orrery.jobs.records import JobState
from orrery.jobs.redis import RedisJobs
from orrery.worlds.errors import JobNotFound, StoreUnavailable


@pytest.fixture
async def jobs(client: Redis, server_url: str) -> AsyncIterator[RedisJobs]:
    """With the connections that a process has, on an empty server."""
    async with store(server_url, lease=LEASE) as jobs:
        yield jobs


async def types(jobs: RedisJobs, job_id: str | None = None, after: str = "0", most: int = 10**9) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(20), aclosing(jobs.events(job_id=job_id, after=after)) as events:
        async for event in events:
            found.append(f"{event.job_id} {event.type.removeprefix('job.')}")
            if len(found) == most:
                break
    return found


async def blocked(client: Redis) -> int:
    """How many connections wait for entries of streams."""
    return sum(one["cmd"] == "xread" and "b" in one["flags"] for one in await client.client_list())


async def test_hundreds_of_followers_need_one_connection(jobs: RedisJobs, client: Redis) -> None:
    for n in range(300):
        await jobs.submit(submission(f"j{n}"))
    following = [asyncio.create_task(types(jobs, f"j{n}")) for n in range(300)]
    everything = [asyncio.create_task(types(jobs, after="0", most=900)) for _ in range(3)]
    await asyncio.sleep(0.5)
    async with asyncio.timeout(10):
        while await blocked(client) != 1:
            await asyncio.sleep(0.05)
    for _ in range(300):
        claim = await jobs.claim(["encode"], "w", wait=0)
        assert claim is not None
        await jobs.complete(claim, completion(claim))
    for n, one in enumerate(await asyncio.gather(*following)):
        assert one == [f"j{n} queued", f"j{n} in_progress", f"j{n} completed"]
    wholes = await asyncio.gather(*everything)
    assert wholes[0] == wholes[1] == wholes[2]
    assert len(wholes[0]) == len(set(wholes[0])) == 900


async def test_the_reader_ends_with_the_last_follower_and_begins_anew(jobs: RedisJobs) -> None:
    await jobs.submit(submission())
    for _ in range(3):
        assert await types(jobs, "job", most=1) == ["job queued"]
        assert jobs._fanout._reading is None
    following = asyncio.create_task(types(jobs, "job"))
    await asyncio.sleep(0.05)
    await jobs.cancel("job")
    assert await following == ["job queued", "job cancelled"]


async def test_a_follower_that_is_slow_misses_nothing(jobs: RedisJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.jobs.fanout.MOST_HELD", 5)
    await jobs.submit(submission())
    claim = await jobs.claim(["encode"], "w", wait=0)
    assert claim is not None
    steps: list[int] = []
    async with aclosing(jobs.events(job_id="job")) as events:
        async for event in events:
            if event.type == "job.in_progress":
                for step in range(1, 251):
                    await jobs.progress(claim, step, 250)
                await jobs.complete(claim, completion(claim))
                await asyncio.sleep(0.2)
            if event.type == "job.progress":
                steps.append(event.data["step"])
    assert steps == list(range(1, 251))
    assert event.type == "job.completed"


async def test_a_dead_job_that_is_taken_up_again_is_followed_again(jobs: RedisJobs) -> None:
    await jobs.submit(submission())
    for _ in range(3):
        claim = await jobs.claim(["encode"], "w", wait=0)
        assert claim is not None
        await jobs.fail(claim, {"code": "stage_unavailable", "message": "gone"}, retry=True)
    assert (await types(jobs, "job"))[-1] == "job failed"
    await jobs.requeue("job")
    following = asyncio.create_task(types(jobs, "job"))
    await asyncio.sleep(0.05)
    assert not following.done()
    await jobs.cancel("job")
    assert (await following)[-3:] == ["job failed", "job queued", "job cancelled"]


async def test_who_follows_nothing_is_told(jobs: RedisJobs) -> None:
    with pytest.raises(JobNotFound):
        await types(jobs, "none")
    assert jobs._fanout._reading is None


async def test_followers_are_told_when_the_server_goes_and_can_come_again(tmp_path: Path) -> None:
    port = free_port()
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with server(tmp_path, port, *durable) as process:
        async with store(f"redis://127.0.0.1:{port}") as jobs:
            await jobs.submit(submission())
            following = [asyncio.create_task(types(jobs, "job")) for _ in range(3)]
            await asyncio.sleep(0.1)
            process.kill()
            for one in await asyncio.gather(*following, return_exceptions=True):
                assert isinstance(one, StoreUnavailable)
            with server(tmp_path, port, *durable):
                again = asyncio.create_task(insisting(jobs))
                await asyncio.sleep(0.5)
                await cancelled(jobs)
                assert await again == ["job queued", "job cancelled"]


async def insisting(jobs: RedisJobs) -> list[str]:
    """As a client does: it comes again until the server is back. Each connection finds out by itself that it is closed."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await types(jobs, "job")
            except StoreUnavailable:
                await asyncio.sleep(0.02)


async def cancelled(jobs: RedisJobs) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await jobs.cancel("job")
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def test_more_commands_at_once_than_connections_wait_for_one(jobs: RedisJobs, client: Redis) -> None:
    await jobs.submit(submission())
    found = await asyncio.gather(*(jobs.get("job") for _ in range(500)))
    assert {job.id for job in found} == {"job"}
    assert len(await client.client_list()) < 80


async def test_an_end_between_the_look_at_a_job_and_that_at_its_events_is_an_end(jobs: RedisJobs) -> None:
    state_of = jobs._fanout._state_of

    async def overtaken(job_id: str) -> JobState | None:
        """What was true when it was asked: before the answer is there, the job is done."""
        state = await state_of(job_id)
        claim = await jobs.claim(["encode"], "w", wait=0)
        if claim is not None:
            await jobs.complete(claim, completion(claim))
        return state

    jobs._fanout._state_of = overtaken
    await jobs.submit(submission())
    assert await types(jobs, "job") == ["job queued", "job in_progress", "job completed"]
