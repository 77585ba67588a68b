"""What a job shows while it is made: the newest only, by its owner only, until its end."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from jobs.setting import PREVIEW, Setting, completion, diamond, submission
from orrery.jobs import keys
from orrery.jobs.answers import PREVIEW_BYTES, PREVIEW_SECONDS
from orrery.jobs.records import Claim, Preview
from orrery.worlds.errors import PreviewTooLarge, StageFailed

LATER = Preview(step=7, width=64, height=32, image=bytes(range(256)), media_type="image/png")


@pytest.fixture
async def claim(setting: Setting) -> Claim:
    await setting.jobs.submit(submission())
    return await setting.claim()


async def told(setting: Setting) -> list[object]:
    """What each step's event says of a preview."""
    await setting.jobs.cancel("job")
    return [event.data.get("preview") async for event in setting.jobs.events(job_id="job") if event.type == "job.progress"]


async def test_the_newest_is_shown(setting: Setting, claim: Claim) -> None:
    assert await setting.jobs.preview("job") is None
    for preview in (PREVIEW, LATER):
        assert await setting.jobs.show(claim, preview) == "owned"
        assert await setting.jobs.preview("job") == preview
        job = await setting.jobs.get("job")
        assert job.preview == preview.note
        assert (await setting.jobs.look("job"))[0] == job


async def test_the_next_event_of_a_step_tells_of_it_once(setting: Setting, claim: Claim) -> None:
    await setting.jobs.progress(claim, 2, 8)
    await setting.jobs.show(claim, PREVIEW)
    for step in (3, 4):
        await setting.jobs.progress(claim, step, 8)
    await setting.jobs.show(claim, LATER)
    await setting.jobs.progress(claim, 7, 8)
    notes = [{"step": shown.step, "width": shown.width, "height": shown.height} for shown in (PREVIEW, LATER)]
    assert await told(setting) == [None, notes[0], None, notes[1]]


async def test_only_the_owner_shows(setting: Setting, claim: Claim) -> None:
    await setting.expire()
    again = await setting.claim(worker="bob")
    assert await setting.jobs.show(claim, LATER) == "lost"
    assert await setting.jobs.preview("job") is None
    assert await setting.jobs.show(again, PREVIEW) == "owned"
    assert await setting.jobs.show(claim, LATER) == "lost"
    assert await setting.jobs.preview("job") == PREVIEW
    await setting.jobs.cancel("job")
    assert await setting.jobs.show(again, LATER) == "cancelled"
    await setting.jobs.delete("job")
    assert await setting.jobs.show(again, LATER) == "cancelled"
    assert await setting.jobs.preview("job") is None


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "deleted"])
async def test_an_end_takes_it_back(setting: Setting, claim: Claim, end: str) -> None:
    ends = {
        "completed": lambda: setting.jobs.complete(claim, completion(claim)),
        "failed": lambda: setting.jobs.fail(claim, StageFailed("broke").to_dict(), retry=False),
        "cancelled": lambda: setting.jobs.cancel("job"),
        "deleted": lambda: setting.jobs.delete("job"),
    }
    await setting.jobs.show(claim, PREVIEW)
    await ends[end]()
    assert await setting.jobs.preview("job") is None
    if end != "deleted":
        assert (await setting.jobs.get("job")).preview is None


async def test_the_end_of_a_task_is_not_that_of_the_job(setting: Setting) -> None:
    await setting.jobs.submit(submission(plan=diamond()))
    claim = await setting.claim()
    await setting.jobs.show(claim, PREVIEW)
    await setting.jobs.complete(claim, completion(claim))
    await setting.claim("denoise/small")
    assert await setting.jobs.preview("job") == PREVIEW


async def test_what_is_too_large_is_refused(setting: Setting, claim: Claim) -> None:
    fits = PREVIEW.model_copy(update={"image": bytes(PREVIEW_BYTES)})
    assert await setting.jobs.show(claim, fits) == "owned"
    with pytest.raises(PreviewTooLarge, match=str(PREVIEW_BYTES + 1)):
        await setting.jobs.show(claim, fits.model_copy(update={"image": bytes(PREVIEW_BYTES + 1)}))
    assert await setting.jobs.preview("job") == fits


async def test_one_that_nobody_takes_back_goes_by_itself(redis_setting: Setting, client: Redis) -> None:
    await redis_setting.jobs.submit(submission())
    await redis_setting.jobs.show(await redis_setting.claim(), PREVIEW)
    assert 0 < await client.ttl(keys.preview("job")) <= PREVIEW_SECONDS


async def test_no_end_leaves_anything_of_it(redis_setting: Setting, client: Redis) -> None:
    for n in range(9):
        await redis_setting.jobs.submit(submission(f"job-{n}"))
        claim = await redis_setting.claim()
        for _ in range(5):
            await redis_setting.jobs.show(claim, PREVIEW)
        await [redis_setting.jobs.cancel, redis_setting.jobs.delete][n % 2](claim.job_id)
    await redis_setting.jobs.submit(submission("dead"))
    for worker in "abc":
        await redis_setting.jobs.show(await redis_setting.claim(worker=worker), PREVIEW)
        assert await client.keys("*:preview") == [keys.preview("dead")]
        await redis_setting.expire()
    assert await redis_setting.jobs.claim(["encode"], "d", wait=0) is None
    assert (await redis_setting.jobs.get("dead")).state == "failed"
    assert await client.keys("*:preview") == []


async def test_in_memory_too(memory_setting: Setting) -> None:
    await memory_setting.jobs.submit(submission())
    await memory_setting.jobs.show(await memory_setting.claim(), PREVIEW)
    await memory_setting.wait(PREVIEW_SECONDS)
    assert await memory_setting.jobs.preview("job") is None
