"""A task may name components beside its own: what they are made of is part of what is remembered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JobState
from orrery.worker.runner import Runner
from orrery.worker.stage_client import InProcessStages
from orrery.worker.worker import Worker, WorkerSettings
from orrery.worlds.components import ComponentFile, ComponentKind, ComponentManifest
from orrery.worlds.plan import Task
from worker.rig import Rig, working


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryJobs())


TEXT = Task(id="encode_text", stage="text_encoder", component="qwen", parameters={"prompt": "a red ball", "projection": "base"})


def manifest(name: str, kind: ComponentKind, digest: str) -> ComponentManifest:
    return ComponentManifest(name=name, kind=kind, files={"weights": ComponentFile(sha256=digest * 64, size=1)})


def components(projection: str) -> dict[str, ComponentManifest]:
    transformer = manifest("base", ComponentKind.TRANSFORMER, projection)
    return {"qwen": manifest("qwen", ComponentKind.TEXT_ENCODER, "0"), "base": transformer}


class Encoder:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, values: Any, call: Any) -> dict[str, Any]:
        self.asked.append(dict(values))
        return {"text_embeddings": np.zeros((2, 4), np.float32)}


def worker(rig: Rig, encoder: Encoder, installed: dict[str, ComponentManifest]) -> Worker:
    runner = Runner(rig.jobs, rig.artifacts, InProcessStages({"text_encoder": encoder}), installed)
    pools = {"text_encoder": ("text_encoder/qwen",)}
    return Worker(WorkerSettings(name="ann", pools=pools, lease=rig.lease, claim_wait=0.05), rig.jobs, runner)


async def encoded(rig: Rig, job: str, encoder: Encoder, installed: dict[str, ComponentManifest]) -> JobState:
    async with working(worker(rig, encoder, installed)):
        await rig.submit_task(job, TEXT, "text_embeddings")
        return (await rig.ended(job)).state


@pytest.mark.parametrize(("weights", "calls"), [("1", 1), ("2", 2)])
async def test_another_projection_is_another_embedding(weights: str, calls: int, rig: Rig) -> None:
    encoder = Encoder()
    assert await encoded(rig, "first", encoder, components("1")) is JobState.COMPLETED
    assert await encoded(rig, "again", encoder, components(weights)) is JobState.COMPLETED
    assert len(encoder.asked) == calls
    assert encoder.asked[0] == {"component": "qwen", "prompt": "a red ball", "projection": "base"}
    assert (await rig.task("again")).memo is (calls == 1)


async def test_a_companion_that_is_not_here_is_named(rig: Rig) -> None:
    encoder = Encoder()
    alone = {name: one for name, one in components("1").items() if name == "qwen"}
    assert await encoded(rig, "job", encoder, alone) is JobState.FAILED
    error = (await rig.job()).error
    assert error is not None
    assert "component base is not installed here" in error["message"]
    assert encoder.asked == []
