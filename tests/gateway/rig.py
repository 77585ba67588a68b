"""A gateway to test: the app, the stores behind it, and a worker that answers without any model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import obstore
from fastapi import FastAPI
from obstore.store import MemoryStore
from safetensors.numpy import load

from gateway.samples import jpeg, png
from orrery.artifacts import ObjectArtifacts
from orrery.gateway.app import create_app
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.stores import Stores
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.deliveries import MemoryDeliveries
from orrery.jobs.files import MemoryFiles
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.quotas import MemoryQuotas, Quotas
from orrery.jobs.records import Claim, Completion
from orrery.worlds.contracts import CONTRACTS, Tensor
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.upsampling import Choice, Outcome

VIDEO = b"\x00\x00\x00\x20ftypisom" + b"v" * 5000
THUMBNAIL = png(16, 9)
SPRITESHEET = jpeg(32, 18)

UPSAMPLED = "A robot arm of brushed steel stacks wooden boxes."
WRITTEN = {"chosen_prompt": UPSAMPLED.encode(), "choice": Choice(outcome=Outcome.UPSAMPLED).model_dump_json().encode()}
"""What comes of a prompt where a language model is asked."""

TINY = "tiny-predict2"
"""What the gateways of these tests serve: any size, no weights needed."""


@dataclass
class Rig:
    app: FastAPI
    client: httpx.AsyncClient
    jobs: MemoryJobs
    artifacts: ObjectArtifacts
    objects: MemoryStore

    async def post(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/v1/videos", json={"prompt": "a robot arm stacks boxes"} | fields)

    async def upload(self, data: bytes, name: str = "in.png", **fields: str) -> httpx.Response:
        form = {"prompt": "a robot arm stacks boxes"} | fields
        return await self.client.post("/v1/videos", data=form, files={"input_reference": (name, data)})

    async def left_behind(self) -> list[str]:
        """Jobs and stored objects, by name."""
        page = await self.jobs.list(after=None, limit=100, order="asc")
        return [job.id for job in page.jobs] + [meta["path"] for meta in obstore.list(self.objects).collect()]

    async def conditioning(self, job_id: str) -> np.ndarray[Any, Any]:
        """The frames that a job is conditioned on, as its stage would read them."""
        request = (await self.jobs.get(job_id)).request
        ref = ArtifactRef.model_validate(request["conditioning"])
        return load(bytes(await self.artifacts.get(ref)))["frames"]

    async def work(
        self, job_id: str, *, failing: dict[str, dict[str, Any]] | None = None, media: bytes = VIDEO, pause: float = 0.0
    ) -> None:
        await Worker(self.jobs, self.artifacts, failing or {}, media, pause).finish(job_id)


@asynccontextmanager
async def rig_of(jobs: MemoryJobs | None = None, *, quotas: Quotas | None = None, **settings: Any) -> AsyncIterator[Rig]:
    jobs, objects = jobs or MemoryJobs(), MemoryStore()
    artifacts = ObjectArtifacts(objects)
    stores = Stores(jobs, artifacts, MemoryDeliveries(), MemoryFiles(), MemoryBatches(), quotas or MemoryQuotas())
    chosen = {"models": (TINY,), "default_model": TINY} | settings
    app = create_app(GatewaySettings(redis_url="redis://none", artifacts_url="memory://", **chosen), stores)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield Rig(app, client, jobs, artifacts, objects)


@dataclass
class Worker:
    """Does every task of a job, whatever its stage.

    `failing` gives errors by stage, `media` is what every job makes, `pause` seconds are what each task takes at least.
    """

    jobs: MemoryJobs
    artifacts: ObjectArtifacts
    failing: dict[str, dict[str, Any]] = field(default_factory=dict)
    media: bytes = VIDEO
    pause: float = 0.0

    async def finish(self, job_id: str) -> None:
        """Raises `TimeoutError` if it takes a minute: then somebody else holds a task and does not do it."""
        deadline = time.monotonic() + 60
        while not (job := await self.jobs.get(job_id)).state.ended:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{job_id} is {job.state}: {[(task.id, task.state.value) for task in job.tasks]}")
            claim = await self.jobs.claim(sorted({task.pool for task in job.tasks}), "worker-1", wait=0)
            if claim is not None:
                await self.do(claim)

    async def do(self, claim: Claim) -> None:
        await asyncio.sleep(self.pause)
        if claim.task.stage in self.failing:
            await self.jobs.fail(claim, self.failing[claim.task.stage], retry=False)
            return
        outputs = {tensor.name: await self._output(tensor) for tensor in CONTRACTS[claim.task.stage].outputs}
        if claim.task.stage == "denoiser":
            await self.jobs.progress(claim, 1, 2)
        await self.jobs.complete(claim, Completion(outputs=outputs, memo=False, stage_seconds=0.5))

    async def _output(self, tensor: Tensor) -> ArtifactRef:
        contents = {"media": self.media, "thumbnail": THUMBNAIL, "spritesheet": SPRITESHEET} | WRITTEN
        data = contents.get(tensor.name, b"tensor " + tensor.name.encode())
        ref = await self.artifacts.put(data)
        return ref.model_copy(update={"text": data.decode()}) if tensor.told else ref


async def eventually(condition: Any, seconds: float = 20.0) -> Any:
    """The first true value of an async condition. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            # What asks Redis may swallow the one cancellation that this is given: see `orrery.jobs.cancelling`.
            while time.monotonic() < deadline:
                if value := await condition():
                    return value
                await asyncio.sleep(0.01)
    raise TimeoutError(f"not within {seconds:g} seconds: {condition!r}")
