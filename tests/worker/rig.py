"""Workers over the in-memory store, with a denoiser that does arithmetic in place of a network."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orrery.artifacts import ArtifactStore, open_store
from orrery.jobs.cancelling import end
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Claim, Completion, Job, Signal, Standing, Submission, TaskRecord
from orrery.worker.runner import CheckpointPolicy, Runner
from orrery.worker.stage_client import InProcessStages, StageClient
from orrery.worker.tensors import store
from orrery.worker.worker import Worker, WorkerSettings
from orrery.worlds.components import ComponentFile, ComponentKind, ComponentManifest
from orrery.worlds.contracts import TEXT_EMBEDDINGS
from orrery.worlds.errors import CheckpointRefused, StoreUnavailable
from orrery.worlds.plan import ArtifactRef, Plan, Task, TaskOutput

COMPONENT = "tiny-predict2-text2image"
MANIFEST = ComponentManifest(
    name=COMPONENT, kind=ComponentKind.TRANSFORMER, files={"weights": ComponentFile(sha256="0" * 64, size=1)}
)
POOLS = {"denoiser": (f"denoiser/{COMPONENT}",), "video_decoder": ("video_decoder",)}


class FakeDenoiser:
    """Each step folds its number into a number, so that the result tells whether every step was taken once and in order.

    `ran` are the steps of all calls. `trouble` is raised once, in place of finishing the step of that number.
    """

    def __init__(self, *, seconds: float = 0.01, trouble: tuple[int, Exception] | None = None) -> None:
        self.seconds = seconds
        self.trouble = trouble
        self.ran: list[int] = []
        self.calls = 0
        self.refuses = False

    def __call__(self, values: Any, call: Any) -> dict[str, Any]:
        self.calls += 1
        step, value, num_steps = *self._start(values), values["num_inference_steps"]
        yielding = call.wants_yield()
        while step < num_steps and not yielding:
            call.check_cancelled()
            value, step = self._advance(value, step)
            yielding = call.wants_yield()
            due = values["checkpoint_every_steps"] and step % values["checkpoint_every_steps"] == 0
            keep = step < num_steps and (yielding or due)
            row = {"checkpoint": np.frombuffer(struct.pack("qq", step, value), np.uint8)} if keep else {}
            call.report(step=step, num_steps=num_steps, **row)
        return {"yielded": True} if step < num_steps else {"latents": np.full((1, 1, 1, 1), value, np.float32)}

    def _start(self, values: Any) -> tuple[int, int]:
        if "resume_from" not in values:
            return 0, values["seed"]
        if self.refuses:
            raise CheckpointRefused("not mine")
        step, value = struct.unpack("qq", values["resume_from"].tobytes())
        return step, value

    def _advance(self, value: int, step: int) -> tuple[int, int]:
        time.sleep(self.seconds)
        if self.trouble is not None and self.trouble[0] == step + 1:
            (_, error), self.trouble = self.trouble, None
            raise error
        self.ran.append(step + 1)
        return (31 * value + step) % 65521, step + 1


def answer(seed: int, num_steps: int) -> float:
    value = seed
    for step in range(num_steps):
        value = (31 * value + step) % 65521
    return float(value)


class Line(MemoryJobs):
    """A store that can be cut off from one of its workers, and that remembers what was written through it."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self.__dict__.update(jobs.__dict__)
        self.cut = False
        self.written: list[tuple[str, Any]] = []

    async def _pass(self, name: str, detail: Any, write: Callable[[], Awaitable[Any]]) -> Any:
        if self.cut:
            raise StoreUnavailable("cut off")
        self.written.append((name, detail))
        return await write()

    async def claim(self, pools: Any, worker: str, *, wait: float) -> Claim | None:
        found: Claim | None = await self._pass("ask", None, lambda: super(Line, self).claim(pools, worker, wait=wait))
        return found

    async def renew(self, claim: Claim) -> Standing:
        standing: Standing = await self._pass("renew", None, lambda: super(Line, self).renew(claim))
        return standing

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        write = super().progress
        standing: Standing = await self._pass("progress", step, lambda: write(claim, step, num_steps))
        return standing

    async def checkpoint(self, claim: Claim, ref: ArtifactRef, step: int) -> Standing:
        write = super().checkpoint
        standing: Standing = await self._pass("checkpoint", step, lambda: write(claim, ref, step))
        return standing

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        write = super().complete
        standing: Standing = await self._pass("complete", completion, lambda: write(claim, completion))
        return standing

    async def release(self, claim: Claim) -> Standing:
        write = super().release
        standing: Standing = await self._pass("release", None, lambda: write(claim))
        return standing

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        write = super().announce
        await self._pass("announce", pools, lambda: write(worker, pools, seconds=seconds))

    async def signals(self) -> AsyncGenerator[Signal, None]:
        """Until the line is cut."""
        async for signal in super().signals():
            if self.cut:
                raise StoreUnavailable("cut off")
            yield signal

    def of(self, *names: str) -> list[Any]:
        return [detail for name, detail in self.written if name in names]


@dataclass
class Rig:
    jobs: MemoryJobs
    artifacts: ArtifactStore = field(default_factory=lambda: open_store("memory://"))
    lease: float = 15.0

    async def submit(self, job_id: str = "job", *, num_steps: int = 20, seed: int = 3, **fields: Any) -> None:
        """A job of one denoising task."""
        text = await store(self.artifacts, TEXT_EMBEDDINGS, np.random.RandomState(1).randn(512, 32).astype(np.float32))
        task = Task(
            id="denoise",
            stage="denoiser",
            component=COMPONENT,
            parameters={
                "latent_shape": [1, 12, 22],
                "seed": seed,
                "num_inference_steps": num_steps,
                "guidance_scale": 4.0,
                "sampler": "res_2ab",
            },
            inputs={"text_embeddings": text},
        )
        await self.submit_task(job_id, task, "latents", **fields)

    async def submit_task(self, job_id: str, task: Task, output: str, **fields: Any) -> None:
        plan = Plan(tasks=(task,), result={"result": TaskOutput(task=task.id, output=output)})
        submission = Submission(job_id=job_id, model="tiny", workflow="text2image", request={}, plan=plan, **fields)
        await self.jobs.submit(submission)

    def worker(self, stages: StageClient | FakeDenoiser, name: str = "ann", **settings: Any) -> Worker:
        """One that hosts a denoiser; `queue`, `checkpoints` and the fields of `WorkerSettings` may be given."""
        client = InProcessStages({"denoiser": stages}) if isinstance(stages, FakeDenoiser) else stages
        queue = settings.pop("queue", self.jobs)
        policy = settings.pop("checkpoints", CheckpointPolicy(seconds=0, steps=0))
        runner = Runner(queue, self.artifacts, client, {COMPONENT: MANIFEST}, policy)
        given = {"name": name, "pools": POOLS, "lease": self.lease, "claim_wait": 0.05} | settings
        return Worker(WorkerSettings(**given), queue, runner)

    async def job(self, job_id: str = "job") -> Job:
        return await self.jobs.get(job_id)

    async def task(self, job_id: str = "job") -> TaskRecord:
        return (await self.job(job_id)).tasks[0]

    async def ended(self, job_id: str = "job", seconds: float = 20.0) -> Job:
        await eventually(lambda: self._over(job_id), seconds)
        return await self.job(job_id)

    async def _over(self, job_id: str) -> bool:
        return (await self.job(job_id)).state.ended

    async def result(self, job_id: str = "job") -> bytes:
        return bytes(await self.artifacts.get((await self.job(job_id)).result["result"]))


@asynccontextmanager
async def working(*workers: Worker) -> AsyncIterator[list[asyncio.Task[None]]]:
    """The workers at work; what is left of them at the end is stopped as a crash would."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield tasks
        for task in tasks:
            assert not task.done() or task.exception() is None
    finally:
        await end(*tasks)


async def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Until a condition, plain or async, is true. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not (await met if isinstance(met := condition(), Awaitable) else met):
            await asyncio.sleep(0.005)
