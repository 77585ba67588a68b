"""Jobs made of other jobs: the same again under another prompt, a film that goes on, a film from the same beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from orrery.gateway.clips import Keep
from orrery.gateway.context import Gateway
from orrery.gateway.fields import requested_world
from orrery.gateway.submitting import Taken, condition, guard, submit
from orrery.gateway.terms import FIELDS, Terms, body_digest
from orrery.jobs.records import Job, JobState
from orrery.worlds.catalog.models import MEDIA_TYPES, ModelSpec, Workflow
from orrery.worlds.errors import InvalidField, JobNotFinished
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.requests import WorldRequest, asked_again, settle
from orrery.worlds.synonyms import canonical_fields, known_names, named_as_given, refuse_unknown

CHANGEABLE = (
    "prompt",
    "negative_prompt",
    "num_frames",
    "seconds",
    "num_chunks",
    "chunk_size",
    "chunk_overlap",
    "num_inference_steps",
    "guidance_scale",
    "seed",
    "sampler",
    "numerics",
    "prompt_upsampling",
    "lora",
    "lora_scale",
)
"""What may be another than in the source; the rest, like size and rate, stays: the two go together."""

KNOWN_NAMES = known_names((*CHANGEABLE, *FIELDS))
SOURCE = "source"
"""The note that says what a job was made of: `video_id`, `relation`, and the `frames` that come before its own."""

_IN_MEMORY = 8 * 2**20


class Relation(StrEnum):
    REMIX = "remix"
    EXTENSION = "extension"
    EDIT = "edit"


@dataclass(frozen=True)
class Source:
    """A completed job of a model that is still served, and its request."""

    job: Job
    model: ModelSpec
    world: WorldRequest

    def note(self, relation: Relation, frames: int = 0) -> dict[str, Any]:
        return {SOURCE: {"video_id": self.job.id, "relation": relation.value, "frames": frames}}


async def source_of(gateway: Gateway, job_id: str) -> Source:
    """Raises `JobNotFound`, `JobNotFinished`, `UnknownModel`."""
    job = await gateway.jobs.get(job_id)
    if job.state is not JobState.COMPLETED:
        raise JobNotFinished(f"job {job.id} is {job.state}: only from a completed job another is made")
    return Source(job, gateway.model(job.model), WorldRequest.model_validate(job.request))


async def remix(gateway: Gateway, source: Source, values: Mapping[str, Any], terms: Terms, *, form: bool) -> Taken:
    """The same request, seed included, but for what `values` say otherwise: at least the prompt."""
    world = _changed(source, source.world.workflow, values, form=form)
    world = world.model_copy(update={"conditioning": source.world.conditioning, "prelude": source.world.prelude})
    frames = source.job.notes.get(SOURCE, {}).get("frames", 0) if world.prelude else 0
    notes = {name: note for name, note in source.job.notes.items() if name == "input"}
    return await _submitted(gateway, source, world, values, terms, notes | source.note(Relation.REMIX, frames))


async def extend(gateway: Gateway, source: Source, values: Mapping[str, Any], terms: Terms, *, form: bool) -> Taken:
    """A film that goes on from the source's last frames; it is published behind the source."""
    conditional = max(source.model.denoiser(_film_of(source)).num_conditional_frames)
    world = _changed(source, Workflow.VIDEO2WORLD, values, form=form, num_conditional_frames=conditional)
    world, notes = await _conditioned(gateway, source, world, Keep.LAST)
    world = world.model_copy(update={"prelude": source.job.result["media"]})
    note = source.note(Relation.EXTENSION, shown_frames(source.job, source.world))
    return await _submitted(gateway, source, world, values, terms, notes | note)


async def edit(gateway: Gateway, source: Source, values: Mapping[str, Any], terms: Terms, *, form: bool) -> Taken:
    """Another film from the source's first frame."""
    _film_of(source)
    world = _changed(source, Workflow.VIDEO2WORLD, values, form=form, num_conditional_frames=1)
    world, notes = await _conditioned(gateway, source, world, Keep.FIRST)
    return await _submitted(gateway, source, world, values, terms, notes | source.note(Relation.EDIT))


def shown_frames(job: Job, world: WorldRequest) -> int:
    """Of the job's film, with the film that it goes on from."""
    if world.prelude is None:
        return world.film_frames
    return int(job.notes[SOURCE]["frames"]) + world.film_frames - world.num_conditional_frames


def remixed_from(job: Job) -> str | None:
    """The job that this is another take of."""
    note = job.notes.get(SOURCE, {})
    return note["video_id"] if note.get("relation") in (Relation.REMIX, Relation.EDIT) else None


def _film_of(source: Source) -> Workflow:
    """What makes more of a film. Raises `InvalidField` of an image, or of a model that cannot."""
    if source.world.workflow is Workflow.TEXT2IMAGE or Workflow.VIDEO2WORLD not in source.model.workflows:
        raise InvalidField(f"{source.job.id} is no film that can be gone on from", field="video", allowed="a video's id")
    return Workflow.VIDEO2WORLD


def _changed(
    source: Source, workflow: Workflow, values: Mapping[str, Any], *, form: bool, num_conditional_frames: int | None = None
) -> WorldRequest:
    refuse_unknown(values, KNOWN_NAMES)
    with named_as_given(values):
        fields = {name: value for name, value in canonical_fields(values).items() if name not in FIELDS}
        asked = requested_world(fields, source.model, workflow, form=form)
        changes = asked.model_dump(exclude_unset=True)
        if asked.seconds is not None and asked.num_frames is None:
            changes["num_frames"] = None
        if num_conditional_frames is not None:
            changes["num_conditional_frames"] = num_conditional_frames
        world = settle(asked_again(source.world).model_copy(update=changes), source.model, workflow)
        guard(world)
    return world


async def _conditioned(
    gateway: Gateway, source: Source, world: WorldRequest, keep: Keep
) -> tuple[WorldRequest, dict[str, Any]]:
    with cast(BinaryIO, SpooledTemporaryFile(_IN_MEMORY)) as film:
        await _fetch(gateway, source.job.result["media"], film)
        media_type = MEDIA_TYPES[source.world.output_format]
        return await condition(gateway, world, film, keep, media_type=media_type)


async def _fetch(gateway: Gateway, ref: ArtifactRef, file: BinaryIO) -> None:
    async for chunk in gateway.artifacts.stream(ref):
        await asyncio.to_thread(file.write, chunk)


async def _submitted(
    gateway: Gateway, source: Source, world: WorldRequest, values: Mapping[str, Any], terms: Terms, notes: dict[str, Any]
) -> Taken:
    asked = canonical_fields(values) | notes[SOURCE]
    digest = "" if terms.key is None else body_digest(asked, None)
    return await submit(gateway, world, source.model, terms, body=digest, notes=notes)
