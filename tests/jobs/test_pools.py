"""Who serves which pool, and how much waits there."""

from __future__ import annotations

from jobs.setting import Setting, diamond, submission
from orrery.jobs.records import PoolStatus


def status(waiting: int, running: int, workers: int = 0) -> PoolStatus:
    return PoolStatus(waiting=waiting, running=running, workers=workers)


async def test_an_empty_store_has_no_pools(setting: Setting) -> None:
    assert await setting.jobs.pools() == {}


async def test_depth_follows_the_tasks(setting: Setting) -> None:
    for n in range(3):
        await setting.jobs.submit(submission(f"job-{n}", plan=diamond()))
    assert await setting.jobs.pools() == {"encode": status(3, 0)}
    await setting.finish()
    running = await setting.claim()
    assert await setting.jobs.pools() == {"encode": status(1, 1), "denoise/small": status(2, 0)}
    await setting.jobs.release(running)
    assert (await setting.jobs.pools())["encode"] == status(2, 0)
    await setting.jobs.cancel("job-0")
    await setting.jobs.delete("job-1")
    pools = await setting.jobs.pools()
    assert pools == {"encode": status(1, 0), "denoise/small": status(0, 0)}
    assert pools["encode"].depth == 1


async def test_workers_count_where_they_announced_themselves(setting: Setting) -> None:
    await setting.jobs.announce("ann", ["encode", "decode"], seconds=60)
    await setting.jobs.announce("bob", ["encode"], seconds=60)
    assert await setting.jobs.pools() == {"decode": status(0, 0, 1), "encode": status(0, 0, 2)}
    await setting.jobs.announce("ann", ["decode"], seconds=60)
    await setting.jobs.announce("bob", [], seconds=60)
    assert await setting.jobs.pools() == {"decode": status(0, 0, 1)}


async def test_a_silent_worker_is_forgotten(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.jobs.announce("ann", ["encode", "decode"], seconds=0.1)
    await setting.jobs.announce("bob", ["encode"], seconds=60)
    await setting.wait(0.15)
    assert await setting.jobs.pools() == {"encode": status(1, 0, 1)}
    await setting.jobs.announce("ann", ["encode"], seconds=60)
    assert (await setting.jobs.pools())["encode"].workers == 2


async def test_withdrawing_leaves_the_claim(setting: Setting) -> None:
    await setting.jobs.submit(submission())
    await setting.jobs.announce("ann", ["encode"], seconds=60)
    claim = await setting.claim()
    await setting.jobs.announce("ann", [], seconds=60)
    assert await setting.jobs.renew(claim) == "owned"
    assert (await setting.jobs.pools())["encode"] == status(0, 1)
