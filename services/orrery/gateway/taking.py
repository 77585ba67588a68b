"""Taking a job, whatever brought the request: HTTP, a batch, gRPC."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, BinaryIO

from orrery.gateway.context import Gateway
from orrery.gateway.fields import refuse_unknown, requested_world
from orrery.gateway.references import REFERENCE
from orrery.gateway.submitting import condition, guard, submit
from orrery.gateway.terms import FIELDS, Terms, body_digest
from orrery.jobs.records import Job
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.requests import RequestedWorld, settle

KNOWN_FIELDS = (*RequestedWorld.model_fields, "model", REFERENCE, *FIELDS)


@dataclass(frozen=True)
class Taken:
    job: Job
    replayed: bool
    terms: Terms


async def take_world(
    gateway: Gateway, values: dict[str, Any], reference: BinaryIO | None, terms: Terms, *, form: bool
) -> Taken:
    """The job that a body asks for: a new one, or the one that the terms' key stands for.

    `values` is the whole body but the reference. The fields that `terms` were read from may still be among them: they are
    passed over, but are part of what the key stands for. The values of a form are strings. Every check comes before anything
    is stored. Raises `UnknownField`, `InvalidField`, `InvalidMedia`, `UnknownModel`, `PromptBlocked`, `QueueFull`,
    `IdempotencyConflict`, `StoreUnavailable`.
    """
    refuse_unknown(values, KNOWN_FIELDS)
    asked = {name: value for name, value in values.items() if name not in FIELDS}
    model = gateway.model(asked.pop("model", None))
    workflow = Workflow.TEXT2WORLD if reference is None else Workflow.VIDEO2WORLD
    world = settle(requested_world(asked, model, workflow, form=form), model, workflow)
    guard(world)
    digest = "" if terms.key is None else await asyncio.to_thread(body_digest, values, reference)
    notes: dict[str, Any] = {}
    if reference is not None:
        world, notes = await condition(gateway, world, reference)
    job, replayed = await submit(gateway, world, model, terms, body=digest, notes=notes)
    return Taken(job, replayed, terms)
