"""One claimed task from its inputs to its outputs: memo, stage, artifacts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orrery.artifacts import ArtifactStore, memo_key
from orrery.jobs.records import Claim, Completion, Standing
from orrery.jobs.store import TaskQueue
from orrery.worker.stage_client import StageClient
from orrery.worker.tensors import fetch, store
from orrery.worlds.components import ComponentManifest
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.plan import ArtifactRef, Task

_PROGRESS_SECONDS = 0.1


class TaskLost(Exception):
    """The store said that the task is not this worker's to finish any more."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing.value)
        self.standing = standing


@dataclass(frozen=True)
class Runner:
    """Runs tasks of the components in `components` (manifests by name)."""

    queue: TaskQueue
    artifacts: ArtifactStore
    stages: StageClient
    components: Mapping[str, ComponentManifest]

    async def run(self, claim: Claim) -> Completion:
        """Raises the stage's typed error, or `TaskLost`."""
        key = memo_key(CONTRACTS[claim.task.stage], self._fingerprint(claim.task), claim.task.parameters, claim.inputs)
        remembered = await self.artifacts.recall(key)
        if remembered is not None:
            return Completion(outputs=remembered, memo=True, stage_seconds=0.0)
        completion = await self._compute(claim)
        await self.artifacts.remember(key, completion.outputs)
        return completion

    async def _compute(self, claim: Claim) -> Completion:
        contract = CONTRACTS[claim.task.stage]
        values = await self._values(claim)
        async with self.stages.run(contract, values, _Progress(self.queue, claim)) as result:
            refs = await asyncio.gather(
                *(store(self.artifacts, tensor, result.outputs[tensor.name]) for tensor in contract.outputs)
            )
        outputs = {tensor.name: ref for tensor, ref in zip(contract.outputs, refs, strict=True)}
        return Completion(outputs=outputs, memo=False, stage_seconds=result.stage_seconds)

    async def _values(self, claim: Claim) -> dict[str, Any]:
        async def tensor(name: str, ref: ArtifactRef) -> tuple[str, Any]:
            return name, await fetch(self.artifacts, ref)

        tensors = await asyncio.gather(*(tensor(name, ref) for name, ref in claim.inputs.items()))
        component = {"component": claim.task.component} if claim.task.component else {}
        return {**component, **claim.task.parameters, **dict(tensors)}

    def _fingerprint(self, task: Task) -> str | None:
        if task.component is None:
            return None
        if task.component not in self.components:
            raise ComponentUnusable(f"component {task.component} is not installed here")
        return self.components[task.component].fingerprint


class _Progress:
    """Passes steps on to the store, at most ten times a second but always the last one."""

    def __init__(self, queue: TaskQueue, claim: Claim) -> None:
        self._queue = queue
        self._claim = claim
        self._told = 0.0

    async def __call__(self, progress: Mapping[str, int]) -> None:
        step, num_steps = progress["step"], progress["num_steps"]
        now = time.monotonic()
        if now - self._told < _PROGRESS_SECONDS and step < num_steps:
            return
        self._told = now
        standing = await self._queue.progress(self._claim, step, num_steps)
        if standing is not Standing.OWNED:
            raise TaskLost(standing)
