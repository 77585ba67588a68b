"""Taking a job, whatever brought the request: HTTP, a batch, gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from orrery.gateway.clips import Keep
from orrery.gateway.context import Gateway
from orrery.gateway.fields import NUMBERS, read_value, requested_world
from orrery.gateway.references import REFERENCE
from orrery.gateway.submitting import Taken, condition, guard, submit
from orrery.gateway.terms import FIELDS, Terms, body_digest
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.requests import RequestedWorld, WorldRequest, settle
from orrery.worlds.synonyms import canonical_fields, known_names, named_as_given, refuse_unknown, spellings

KNOWN_FIELDS = (*RequestedWorld.model_fields, "model", REFERENCE, *FIELDS)
KNOWN_NAMES = known_names(KNOWN_FIELDS)


@dataclass(frozen=True)
class SettledBody:
    """A body of which everything is checked but its media. `fields` are all its others, under Orrery's names."""

    world: WorldRequest
    model: ModelSpec
    fields: dict[str, Any]


async def take_world(
    gateway: Gateway,
    values: dict[str, Any],
    reference: BinaryIO | None,
    terms: Terms,
    *,
    form: bool,
    keep: Keep = Keep.LAST,
) -> Taken:
    """The job that a body asks for: a new one, or the one that the terms' key stands for.

    `values` is the whole body but the reference. The fields that `terms` were read from may still be among them: they are
    passed over, but are part of what the key stands for. The values of a form are strings. `keep` says which frames of a clip
    condition the world. Every check comes before anything is stored. Raises `UnknownField`, `InvalidField`, `InvalidMedia`,
    `UnknownModel`, `PromptBlocked`, `QueueFull`, `IdempotencyConflict`, `StoreUnavailable`.
    """
    with gateway.metrics.refusals(), named_as_given(values):
        settled = settle_body(gateway, values, referenced=reference is not None, form=form)
        return await _take(gateway, settled, reference, terms, keep)


async def take_body(gateway: Gateway, values: Mapping[str, Any], terms: Terms, *, form: bool, keep: Keep = Keep.LAST) -> Taken:
    """As `take_world`, of a body in which the reference is still as it was written: an `UploadFile`, a string or an object."""
    with gateway.metrics.refusals():
        rest, written = without_reference(values)
        with named_as_given(values):
            settled = settle_body(gateway, rest, referenced=written is not None, form=form)
            async with gateway.references.opened(written, terms.tenant) as reference:
                return await _take(gateway, settled, reference, terms, keep)


def without_reference(values: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The other values, and the reference as it was written under any of its names."""
    refuse_unknown(values, KNOWN_NAMES)
    names = spellings(REFERENCE)
    written = canonical_fields({name: value for name, value in values.items() if name in names}).get(REFERENCE)
    return {name: value for name, value in values.items() if name not in names}, written


def settle_body(gateway: Gateway, values: Mapping[str, Any], *, referenced: bool, form: bool) -> SettledBody:
    """Every check of a body but those of its media; `values` are without it. Raises as `take_world`."""
    refuse_unknown(values, KNOWN_NAMES)
    fields = canonical_fields(values)
    asked = {name: value for name, value in fields.items() if name not in (*FIELDS, "model")}
    model = gateway.model(fields.get("model"))
    workflow = Workflow.VIDEO2WORLD if referenced else Workflow.TEXT2WORLD
    world = settle(requested_world(asked, model, workflow, form=form), model, workflow)
    guard(world)
    return SettledBody(world, model, _typed(fields, form=form))


def _typed(fields: Mapping[str, Any], *, form: bool) -> dict[str, Any]:
    """What means the same is the same, for the key that stands for it: the numbers of a form, and 3 beside 3.0."""
    typed = {name: read_value(name, value, form=form) for name, value in fields.items() if value is not None}
    return {name: float(value) if name in NUMBERS else value for name, value in typed.items()}


async def _take(gateway: Gateway, settled: SettledBody, reference: BinaryIO | None, terms: Terms, keep: Keep) -> Taken:
    digest = "" if terms.key is None else await asyncio.to_thread(body_digest, settled.fields, reference)
    world = settled.world
    notes: dict[str, Any] = {}
    if reference is not None:
        world, notes = await condition(gateway, world, reference, keep)
    return await submit(gateway, world, settled.model, terms, body=digest, notes=notes)
