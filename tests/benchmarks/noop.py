"""A pool that does nothing: every task is completed as soon as it is claimed, with outputs that nobody stored."""

from __future__ import annotations

import asyncio
import sys

from orrery.gateway.readiness import pools_of
from orrery.jobs.records import Completion
from orrery.jobs.redis import RedisJobs
from orrery.worlds.catalog import CATALOG, DEFAULT_MODEL
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.plan import ArtifactRef

NOTHING = ArtifactRef(digest="0" * 64, size=0)


async def work(url: str, hands: int) -> None:
    jobs = RedisJobs.connect(url)
    pools = sorted(pools_of(CATALOG[DEFAULT_MODEL]))
    await asyncio.gather(*(hold(jobs, pools, f"noop-{n}") for n in range(hands)))


async def hold(jobs: RedisJobs, pools: list[str], worker: str) -> None:
    while True:
        claim = await jobs.claim(pools, worker, wait=5)
        if claim is not None:
            outputs = {tensor.name: NOTHING for tensor in CONTRACTS[claim.task.stage].outputs}
            await jobs.complete(claim, Completion(outputs=outputs, memo=False, stage_seconds=0.0))


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], 4))
