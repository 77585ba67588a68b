"""Plans, submissions and the two stores, for the tests of this folder."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from orrery.embedded.settings import free_ports
from orrery.jobs.keys import ROOT
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Claim, Completion, Preview, Submission
from orrery.jobs.redis import RedisJobs
from orrery.worlds.plan import ArtifactRef, Plan, Task, TaskOutput

LEASE = 60.0
"""So long that no lease runs out by itself while a test runs; `expire` makes it run out."""

PREVIEW = Preview(step=3, width=256, height=140, image=b"\xff\xd8 three steps")

POOLS = ("encode", "denoise/small", "decode")


def ref(name: str) -> ArtifactRef:
    return ArtifactRef(digest=hashlib.sha256(name.encode()).hexdigest(), size=len(name))


def single(stage: str = "encode") -> Plan:
    task = Task(id=stage, stage=stage, parameters={"guidance_scale": 7.000000000000001, "tags": []})
    return Plan(tasks=(task,), result={"video": TaskOutput(task=stage, output="out")})


def diamond() -> Plan:
    """left and right both need the top, the bottom reads left and waits for right."""
    top = TaskOutput(task="top", output="out")
    left = TaskOutput(task="left", output="out")
    return Plan(
        tasks=(
            Task(id="top", stage="encode", inputs={"image": ref("upload")}),
            Task(id="left", stage="denoise", component="small", inputs={"in": top}),
            Task(id="right", stage="denoise", component="small", inputs={"in": top}),
            Task(id="bottom", stage="decode", inputs={"in": left}, after=("right",)),
        ),
        result={"video": TaskOutput(task="bottom", output="out"), "latents": left},
    )


def submission(job_id: str = "job", plan: Plan | None = None, **fields: Any) -> Submission:
    given = {"model": "mini", "workflow": "text2world", "request": {"prompt": "ein Würfel", "seed": 3}} | fields
    return Submission(job_id=job_id, plan=plan or single(), **given)


def completion(claim: Claim) -> Completion:
    made = {"out": ref(f"{claim.job_id}/{claim.task.id}"), "extra": ref("extra")}
    return Completion(outputs=made, memo=False, stage_seconds=0.25)


def free_port() -> int:
    return free_ports(1)[0]


Jobs = MemoryJobs | RedisJobs


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Setting:
    """A store, and a hand on its time: `expire` lets every lease run out, `wait` lets `seconds` go by."""

    jobs: Jobs
    expire: Callable[[], Awaitable[None]]
    wait: Callable[[float], Awaitable[None]]
    taken: list[Claim] = field(default_factory=list)

    async def claim(self, pool: str = "encode", worker: str = "ann") -> Claim:
        claim = await self.jobs.claim([pool], worker, wait=0)
        assert claim is not None, f"nothing in {pool}"
        return claim

    async def finish(self, pool: str = "encode", worker: str = "ann") -> Claim:
        claim = await self.claim(pool, worker)
        assert await self.jobs.complete(claim, completion(claim)) == "owned"
        return claim


async def expire_leases(client: Redis) -> None:
    """Lets the lease of every held task end in the past, in their order."""
    for held in await client.keys(f"{ROOT}:held:*"):
        for order, member in enumerate(await client.zrange(held, 0, -1)):
            await client.zadd(held, {member: order})
