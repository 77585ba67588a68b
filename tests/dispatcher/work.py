"""Small jobs with real artifacts, and a worker that does them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from orrery.artifacts import ObjectArtifacts
from orrery.dispatcher.sweeping import Namers
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.batches.store import Batches
from orrery.jobs.files import Files, MemoryFiles
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Claim, Completion, Submission
from orrery.jobs.redis import RedisJobs
from orrery.worlds.plan import ArtifactRef, Plan, Task, TaskOutput

Jobs = MemoryJobs | RedisJobs

REQUEST = {"prompt": "x", "seed": 0}


def namers(jobs: Jobs, files: Files | None = None, batches: Batches | None = None) -> Namers:
    return Namers(jobs, files or MemoryFiles(), batches or MemoryBatches())


def submission(job_id: str, upload: ArtifactRef | None = None, **fields: Any) -> Submission:
    """encode, then publish; the result is what publish made."""
    inputs: dict[str, Any] = {} if upload is None else {"frames": upload}
    plan = Plan(
        tasks=(
            Task(id="encode", stage="encode", inputs=inputs),
            Task(id="publish", stage="publish", inputs={"latents": TaskOutput(task="encode", output="out")}),
        ),
        result={"media": TaskOutput(task="publish", output="out")},
    )
    given = {"model": "mini", "workflow": "text2world", "request": REQUEST} | fields
    return Submission(job_id=job_id, plan=plan, **given)


async def claim(jobs: Jobs, pool: str) -> Claim:
    taken = await jobs.claim([pool], "w", wait=0)
    assert taken is not None, f"nothing in {pool}"
    return taken


async def do(jobs: Jobs, artifacts: ObjectArtifacts, pool: str) -> ArtifactRef:
    """One task, remembered like a worker does."""
    taken = await claim(jobs, pool)
    ref = await artifacts.put(f"{taken.job_id} {pool}".encode())
    await artifacts.remember(memo_of(taken.job_id, pool), {"out": ref})
    await jobs.complete(taken, Completion(outputs={"out": ref}, memo=False, stage_seconds=0.1))
    return ref


async def finish(jobs: Jobs, artifacts: ObjectArtifacts) -> tuple[ArtifactRef, ArtifactRef]:
    return await do(jobs, artifacts, "encode"), await do(jobs, artifacts, "publish")


def memo_of(job_id: str, pool: str) -> str:
    return f"{job_id}-{pool}".encode().hex().ljust(64, "0")


def age(folder: Path, seconds: float) -> None:
    """Makes everything in the folder look as if it had been written so much earlier."""
    for path in folder.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))


class Clock:
    """Real time, and a hand on it."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead
