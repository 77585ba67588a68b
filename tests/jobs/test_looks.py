"""Looking at jobs: the same as reading them, however many look at once and whatever was known before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from jobs.setting import LEASE, Setting, completion, diamond, free_port, ref, submission
from jobs.test_servers import server, store
from orrery.jobs.records import Claim
from orrery.jobs.redis import RedisJobs
from orrery.worlds.errors import JobNotFound, StoreUnavailable


@pytest.fixture
def jobs(client: Redis) -> RedisJobs:
    return RedisJobs(client, lease=LEASE)


async def test_a_look_is_the_job_and_its_place_at_every_turn(setting: Setting) -> None:
    for name in ("a", "b", "c"):
        await setting.jobs.submit(submission(name, diamond()))

    async def looked(name: str) -> None:
        assert await setting.jobs.look(name) == (await setting.jobs.get(name), await setting.jobs.position(name))

    for pool in ("encode", "denoise/small", "denoise/small", "decode", "encode"):
        for name in ("a", "b", "c", "a"):
            await looked(name)
        await setting.finish(pool)
    assert (await setting.jobs.look("c"))[1] == 0
    await setting.jobs.cancel("b")
    await looked("b")
    assert (await setting.jobs.look("a"))[0].state == "completed"


async def test_who_looks_for_nothing_is_told(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.jobs.look("job")
    await setting.jobs.delete("job")
    for name in ("job", "none"):
        with pytest.raises(JobNotFound):
            await setting.jobs.look(name)


async def test_what_was_written_before_a_look_is_seen(jobs: RedisJobs) -> None:
    await jobs.submit(submission())
    await jobs.look("job")
    claim = await jobs.claim(["encode"], "w", wait=0)
    assert claim is not None
    for step in range(1, 20):
        await jobs.progress(claim, step, 20)
        (job, place), _ = await asyncio.gather(jobs.look("job"), jobs.look("job"))
        assert (job.tasks[0].step, place) == (step, None)


async def test_looks_at_the_same_moment_are_one_call_and_known_records_are_not_sent_again(jobs: RedisJobs) -> None:
    for n in range(20):
        await jobs.submit(submission(f"j{n}"))
    calls: list[tuple[object, ...]] = []
    run = jobs._looks._run

    async def counted(name: str, *args: str | int | float) -> object:
        calls.append(args)
        replies = await run(name, *args)
        sent.append(sum(reply[1] is not None for reply in replies))
        return replies

    sent: list[int] = []
    jobs._looks._run = counted  # type: ignore[assignment]
    names = [f"j{n}" for n in range(20)] * 3
    first = await asyncio.gather(*map(jobs.look, names))
    again = await asyncio.gather(*map(jobs.look, names))
    assert ([len(args) for args in calls], sent) == ([60, 60], [20, 0])
    assert all(one[0] is other[0] for one, other in zip(first, again, strict=True))
    await jobs.cancel("j7")
    changed = await asyncio.gather(*map(jobs.look, names))
    assert sent[-1] == 1
    assert [job.id for job, _ in changed if job.state == "cancelled"] == ["j7"] * 3


async def test_hundreds_of_looks_are_cut_into_calls(jobs: RedisJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.jobs.looks.KNOWN", 10)
    for n in range(100):
        await jobs.submit(submission(f"j{n}"))
    for _ in range(2):
        found = await asyncio.gather(*(jobs.look(f"j{n}") for n in range(100)))
        assert [job.id for job, _ in found] == [f"j{n}" for n in range(100)]
        assert [place for _, place in found] == list(range(100))
        assert len(jobs._looks._known) == 10


async def test_one_who_gives_up_takes_the_look_from_nobody(jobs: RedisJobs) -> None:
    await jobs.submit(submission())
    impatient, patient = (asyncio.create_task(jobs.look("job")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    job, _ = await patient
    assert job.id == "job"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_an_outage_is_told_to_all_who_look(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port) as process:
        async with store(f"redis://127.0.0.1:{port}") as jobs:
            await jobs.submit(submission())
            await jobs.look("job")
            process.kill()
            process.wait()
            for one in await asyncio.gather(*(jobs.look(name) for name in "ab"), return_exceptions=True):
                assert isinstance(one, StoreUnavailable)


async def test_every_change_of_a_job_is_another_version(jobs: RedisJobs) -> None:
    """Whoever changed it: a look is never an old record."""
    await jobs.submit(submission(plan=diamond()))

    async def seen() -> None:
        assert (await jobs.look("job"))[0] == await jobs.get("job")

    async def claimed(pool: str) -> Claim:
        claim = await jobs.claim([pool], "w", wait=0)
        assert claim is not None
        await seen()
        return claim

    await seen()
    claim = await claimed("encode")
    for change in (
        jobs.progress(claim, 1, 4),
        jobs.checkpoint(claim, ref("checkpoint"), 1),
        jobs.release(claim),
    ):
        await change
        await seen()
    claim = await claimed("encode")
    await jobs.fail(claim, {"code": "stage_unavailable", "message": "x"}, retry=True)
    await seen()
    claim = await claimed("encode")
    await jobs.complete(claim, completion(claim))
    await seen()
    for _ in range(3):
        claim = await claimed("denoise/small")
        await jobs.fail(claim, {"code": "stage_unavailable", "message": "x"}, retry=True)
        await seen()
    await jobs.requeue("job")
    await seen()
    await jobs.cancel("job")
    await seen()


async def test_a_job_that_is_made_again_under_its_name_is_another(jobs: RedisJobs) -> None:
    for state in ("queued", "cancelled"):
        await jobs.submit(submission(request={"prompt": state}))
        assert (await jobs.look("job"))[0].request == {"prompt": state}
        await jobs.delete("job")
