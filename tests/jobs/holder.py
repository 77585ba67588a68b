"""A worker process for test_processes: claims one task, renews it until a line comes in, then completes it.

Says "claimed" when it has the task, and at the end what its last renewal and its completion were worth.
"""

from __future__ import annotations

import asyncio
import sys

from jobs.setting import completion
from orrery.jobs.redis import RedisJobs


async def hold(url: str, lease: float) -> None:
    jobs = RedisJobs.connect(url, lease=lease)
    claim = await jobs.claim(["encode"], "holder", wait=10)
    assert claim is not None
    print("claimed", flush=True)
    line = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    while not line.done():
        await jobs.renew(claim)
        await asyncio.wait([line], timeout=lease / 3)
    print(await jobs.renew(claim), await jobs.complete(claim, completion(claim)), flush=True)
    await jobs.aclose()


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1], float(sys.argv[2])))
