"""One claimed task from its inputs to its outputs: memo, stage, artifacts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from orrery.artifacts import ArtifactStore, memo_key
from orrery.jobs.records import Claim, Completion
from orrery.jobs.store import TaskQueue
from orrery.worker.holding import Holding
from orrery.worker.stage_client import StageClient, StageResult
from orrery.worker.telling import telling
from orrery.worker.tensors import fetch, store
from orrery.worlds.contracts import CONTRACTS, StageContract
from orrery.worlds.errors import ArtifactCorrupt, ArtifactNotFound, CheckpointRefused, ComponentUnusable
from orrery.worlds.plan import ArtifactRef, Task
from orrery.worlds.tensors import named

log = logging.getLogger("orrery.worker")


class Fingerprinted(Protocol):
    """Whatever a task's component is: weights with their manifest, or a template with the endpoint that is asked."""

    @property
    def fingerprint(self) -> str: ...


class TaskYielded(Exception):
    """The stage stopped as it was asked to; its last checkpoint is kept."""


@dataclass(frozen=True)
class CheckpointPolicy:
    """A stage is asked for a checkpoint every so many seconds or steps, whichever comes first; 0 is never."""

    seconds: float = 30.0
    steps: int = 0


@dataclass(frozen=True)
class Runner:
    """Runs tasks of the components in `components`, by name.

    A stage shows what it has every `preview_seconds`; 0 is never.
    """

    queue: TaskQueue
    artifacts: ArtifactStore
    stages: StageClient
    components: Mapping[str, Fingerprinted]
    checkpoints: CheckpointPolicy = CheckpointPolicy()
    preview_seconds: float = 2.0

    async def run(self, holding: Holding) -> Completion:
        """Raises the stage's typed error, `TaskYielded` or `TaskLost`."""
        claim = holding.claim
        key = memo_key(CONTRACTS[claim.task.stage], self._fingerprint(claim.task), claim.task.parameters, claim.inputs)
        remembered = await self.artifacts.recall(key)
        holding.watch.remembered(hit=remembered is not None)
        if remembered is not None:
            return Completion(outputs=remembered, memo=True, stage_seconds=0.0)
        completion, passing = await self._compute(holding)
        holding.watch.ran(completion.stage_seconds, passing=passing)
        if not passing:
            await self.artifacts.remember(key, completion.outputs)
        return completion

    async def _compute(self, holding: Holding) -> tuple[Completion, bool]:
        """From the checkpoint if it has one to go on from, else from the start; and whether the outputs are passing."""
        values, steering = await self._values(holding.claim), await self._steering(holding.claim)
        try:
            return await self._call(holding, values | steering)
        except CheckpointRefused as refusal:
            log.warning("%s of %s starts over: %s", holding.claim.task.id, holding.claim.job_id, refusal.message)
        del steering["resume_from"]
        return await self._call(holding, values | steering)

    async def _call(self, holding: Holding, values: dict[str, Any]) -> tuple[Completion, bool]:
        contract = CONTRACTS[holding.claim.task.stage]
        async with telling(self.queue, self.artifacts, holding) as teller:
            try:
                with holding.watch.calling():
                    async with self.stages.run(contract, values, teller, holding.control) as result:
                        completion = await self._finished(contract, result), result.passing
            except Exception:
                # Whoever goes on shall have all that was handed out.
                await teller.keep_checkpoint()
                await teller.tell_step()
                raise
            await teller.tell_step()
            return completion

    async def _finished(self, contract: StageContract, result: StageResult) -> Completion:
        if result.yielded:
            raise TaskYielded
        made = [tensor for tensor in contract.outputs if tensor.name in result.outputs]
        refs = await asyncio.gather(*(store(self.artifacts, tensor, result.outputs[tensor.name]) for tensor in made))
        outputs = {tensor.name: ref for tensor, ref in zip(made, refs, strict=True)}
        return Completion(outputs=outputs, memo=False, stage_seconds=result.stage_seconds)

    async def _values(self, claim: Claim) -> dict[str, Any]:
        declared = named(CONTRACTS[claim.task.stage].inputs)

        async def tensor(name: str, ref: ArtifactRef) -> tuple[str, Any]:
            return name, await fetch(self.artifacts, declared[name], ref)

        tensors = await asyncio.gather(*(tensor(name, ref) for name, ref in claim.inputs.items()))
        component = {"component": claim.task.component} if claim.task.component else {}
        return {**component, **claim.task.parameters, **dict(tensors)}

    async def _steering(self, claim: Claim) -> dict[str, Any]:
        """What goes beside the task's own values, and so into no memo key."""
        if not CONTRACTS[claim.task.stage].resumable:
            return {}
        policy = {
            "checkpoint_every_steps": self.checkpoints.steps,
            "checkpoint_every_seconds": self.checkpoints.seconds,
            "preview_every_seconds": self.preview_seconds,
        }
        if claim.checkpoint is None:
            return policy
        try:
            data = await self.artifacts.get(claim.checkpoint)
        except (ArtifactNotFound, ArtifactCorrupt) as error:
            log.warning("%s of %s starts over: %s", claim.task.id, claim.job_id, error.message)
            return policy
        return policy | {"resume_from": np.frombuffer(data, np.uint8)}

    def _fingerprint(self, task: Task) -> str | None:
        """Of the task's component, and after it of those that its parameters name."""
        if task.component is None:
            return None
        beside = [str(task.parameters[name]) for name in CONTRACTS[task.stage].companions if name in task.parameters]
        return "+".join(self._installed(name).fingerprint for name in (task.component, *beside))

    def _installed(self, name: str) -> Fingerprinted:
        if name not in self.components:
            raise ComponentUnusable(f"component {name} is not installed here")
        return self.components[name]
