"""A gateway and a worker over the stores in memory, with stages that make nothing: what they tell is real."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from orrery.artifacts import ObjectArtifacts, open_store
from orrery.gateway.app import create_app
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.stores import Stores
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.deliveries import MemoryDeliveries
from orrery.jobs.files import MemoryFiles
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Job
from orrery.telemetry.process import Telemetry
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worker.observing import Observer
from orrery.worker.process import pools_of
from orrery.worker.runner import CheckpointPolicy, Runner
from orrery.worker.stage_client import InProcessStages, StageFunction
from orrery.worker.worker import Worker, WorkerSettings
from orrery.worlds.catalog import find
from orrery.worlds.components import ComponentFile, ComponentKind, ComponentManifest
from orrery.worlds.contracts import CONTRACTS, POOLED, DType, StageContract
from orrery.worlds.tensors import NUMPY_TYPES
from worker.rig import eventually, working

MODEL = "tiny-predict2"
STEPS = 4


def manifests() -> dict[str, ComponentManifest]:
    """Of every component of the model; which kind each is, nobody asks here."""
    spec = find(MODEL)
    kinds = {spec.text_encoder: ComponentKind.TEXT_ENCODER, spec.video_tokenizer: ComponentKind.VIDEO_TOKENIZER}
    file = {"weights": ComponentFile(sha256="0" * 64, size=1)}
    made = {name: kinds.get(name, ComponentKind.TRANSFORMER) for name in spec.components}
    return {name: ComponentManifest(name=name, kind=kind, files=file) for name, kind in made.items()}


@dataclass
class Pretended:
    """A stage whose outputs have the contract's types. `trouble` is raised at the first call, after the second step."""

    contract: StageContract
    trouble: Exception | None = None
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    def __call__(self, values: Mapping[str, Any], call: Any) -> dict[str, Any]:
        self.calls.append(values)
        if self.contract.decoupled:
            self._step(call)
        self._stumble()
        return {tensor.name: _empty(tensor) for tensor in self.contract.outputs}

    def _step(self, call: Any) -> None:
        for step in range(1, STEPS + 1):
            if step == 3:
                self._stumble()
            call.report(step=step, num_steps=STEPS, **({"checkpoint": np.zeros(64, np.uint8)} if step == 2 else {}))
            time.sleep(0.1)  # what is told less often than that is passed over

    def _stumble(self) -> None:
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble


def _empty(tensor: Any) -> Any:
    if tensor.dtype is DType.STRING:
        return "{}"
    return np.zeros([max(1, size) for size in tensor.dims], NUMPY_TYPES[tensor.dtype])


@dataclass
class Rig:
    app: FastAPI
    client: httpx.AsyncClient
    jobs: MemoryJobs
    deliveries: MemoryDeliveries
    stages: dict[str, Pretended]
    gateway: Telemetry
    worker: Telemetry

    async def make(self, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Job:
        """A job that came to its end, and of whose tasks the worker has told all."""
        body, before = {"prompt": "a ball rolls", "num_inference_steps": STEPS, "num_frames": 9} | fields, self.told()
        answer = await self.client.post("/v1/videos", json=body, headers=dict(headers or {}))
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["id"]
        await eventually(lambda: self.ended(job_id))
        job = await self.jobs.get(job_id)
        await eventually(lambda: self.told() - before == sum(task.attempt for task in job.tasks))
        return job

    def told(self) -> float:
        """Of how many tasks the worker has told what came of them."""
        (family,) = (one for one in self.worker.instruments.registry.collect() if one.name == "orrery_tasks")
        return sum(sample.value for sample in family.samples if sample.name == "orrery_tasks_total")

    async def ended(self, job_id: str) -> bool:
        return (await self.jobs.get(job_id)).state.ended


@asynccontextmanager
async def rig_of(gateway: Telemetry, worker: Telemetry, **settings: Any) -> AsyncIterator[Rig]:
    """With a worker that is at work."""
    jobs, deliveries, stages = MemoryJobs(), MemoryDeliveries(), {name: Pretended(CONTRACTS[name]) for name in POOLED}
    artifacts = open_store("memory://", ArtifactTraffic(worker.instruments))
    stores = Stores(jobs, artifacts, deliveries, MemoryFiles(), MemoryBatches())
    chosen = {"models": (MODEL,), "default_model": MODEL, "webhooks": True} | settings
    app = create_app(GatewaySettings(redis_url="redis://none", artifacts_url="memory://", **chosen), stores, gateway)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        working(_worker(jobs, artifacts, stages, worker)),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        yield Rig(app, client, jobs, deliveries, stages, gateway, worker)


def _worker(jobs: MemoryJobs, artifacts: ObjectArtifacts, stages: Mapping[str, StageFunction], telemetry: Telemetry) -> Worker:
    components = manifests()
    policy = CheckpointPolicy(seconds=0, steps=2)
    runner = Runner(jobs, artifacts, InProcessStages(stages), components, policy)
    told = WorkerSettings(name="ann", pools=pools_of(POOLED, components), claim_wait=0.05)
    return Worker(told, jobs, runner, Observer(telemetry))
