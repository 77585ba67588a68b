"""What a request would take, without making a job of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orrery.gateway.context import Gateway
from orrery.gateway.submitting import condition
from orrery.gateway.taking import SettledBody, settle_body, without_reference
from orrery.gateway.terms import Terms
from orrery.gateway.views import world_view
from orrery.jobs.records import Job, JobState, TaskRecord, TaskState
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest
from orrery.worlds.synonyms import named_as_given


async def estimate(gateway: Gateway, values: Mapping[str, Any], terms: Terms, *, form: bool) -> dict[str, Any]:
    """Every check that taking the job would make, its media's too, and what it would take. Stores nothing.

    Raises as `take_body` does, but for `QueueFull` and `IdempotencyConflict`, which only a submission can tell.
    """
    rest, written = without_reference(values)
    with named_as_given(values):
        settled = settle_body(gateway, rest, referenced=written is not None, form=form)
        world = settled.world
        notes: dict[str, Any] = {}
        async with gateway.references.opened(written, terms.tenant) as reference:
            if reference is not None:
                world, notes = await condition(gateway, world, reference, store=False)
    job = _supposed(settled, world, terms, notes)
    forecast = await gateway.forecaster.estimate(job)
    head = {"object": "video.estimate", "model": settled.model.name, "priority": terms.priority.value}
    return head | world_view(job, world) | asdict(forecast)


def _supposed(settled: SettledBody, world: WorldRequest, terms: Terms, notes: dict[str, Any]) -> Job:
    """The job as it would stand in the store right after its submission."""
    tasks = tuple(
        TaskRecord(id=t.id, stage=t.stage, pool=t.pool, state=TaskState.WAITING if t.needs else TaskState.QUEUED)
        for t in plan(world, settled.model).tasks
    )
    return Job(
        id="",
        model=settled.model.name,
        workflow=world.workflow.value,
        request=world.model_dump(mode="json"),
        notes=notes,
        tenant=terms.tenant,
        priority=terms.priority,
        state=JobState.QUEUED,
        created_at=time.time(),
        tasks=tasks,
    )
