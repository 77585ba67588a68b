"""From a settled request to a submitted job."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import Any, BinaryIO

from orrery.gateway.clips import Keep
from orrery.gateway.context import Gateway
from orrery.gateway.decoding.apart import read_apart
from orrery.gateway.decoding.order import Order
from orrery.gateway.media import MEDIA_TYPE
from orrery.gateway.terms import Terms
from orrery.guardrails.prompts import refuse_blocked
from orrery.jobs.deliveries import WEBHOOK_URL
from orrery.jobs.records import Job, Submission
from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.plan import ArtifactRef, Plan
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest

log = logging.getLogger(__name__)

JOB_ID_PREFIX = "video_"

UNSTORED = ArtifactRef(digest="0" * 64, size=0, media_type=MEDIA_TYPE)
"""Stands for frames that were checked for a plan that nobody will carry out."""


@dataclass(frozen=True)
class Taken:
    """`replayed` says that the job was there before under the same key. `position` is its place in the queue, 0 = next."""

    job: Job
    replayed: bool
    terms: Terms
    position: int | None


def guard(request: WorldRequest) -> None:
    """The guardrail of the plan, before anything is stored. Raises `PromptBlocked`."""
    refuse_blocked({"prompt": request.prompt, "negative_prompt": request.negative_prompt})


async def condition(
    gateway: Gateway,
    request: WorldRequest,
    reference: BinaryIO,
    keep: Keep = Keep.LAST,
    *,
    media_type: str | None = None,
    store: bool = True,
) -> tuple[WorldRequest, dict[str, Any]]:
    """The request with its frames in the artifact store, or only named if not `store`, and the notes about them.

    `keep` says which frames of a clip they are, `media_type` what it is if that is known.
    """
    order = Order.of(request, gateway.settings, keep, media_type)
    with gateway.metrics.decoding.time(), gateway.tracing.span("decode"):
        async with gateway.decoding:
            data, notes = await asyncio.to_thread(read_apart, reference, order)
            frames = await gateway.artifacts.put(data, media_type=MEDIA_TYPE) if store else UNSTORED
    return request.model_copy(update={"conditioning": frames}), {"input": notes}


async def submit(
    gateway: Gateway,
    request: WorldRequest,
    model: ModelSpec,
    terms: Terms,
    *,
    body: str = "",
    notes: dict[str, Any] | None = None,
) -> Taken:
    """Plans and submits; `body` is the body's digest.

    An upload that was stored for a job that is then refused is left to the sweeper: another job may name the same bytes by now.
    """
    with gateway.tracing.span("submit", {"orrery.model": model.name, "orrery.workflow": request.workflow.value}) as span:
        if gateway.settings.log_prompts:
            span.set({"orrery.prompt": request.prompt})
        with gateway.tracing.span("plan"):
            planned = plan(request, model)
        submission = _submission(request, model, planned, terms, body, notes or {}, span.traceparent)
        job, position = await _entered(gateway, submission, placed=terms.job_id is None)
        span.set({"orrery.job.id": job.id})
    replayed = job.id != submission.job_id
    if not replayed:
        gateway.forecaster.planned(job.id, submission.plan)
        gateway.metrics.submitted.labels(model.name, request.workflow.value).inc()
        log.info("submitted %s", job.id, extra={"job": job.id, "model": model.name, "workflow": request.workflow.value})
    return Taken(job, replayed, terms, position)


def _submission(
    request: WorldRequest,
    model: ModelSpec,
    planned: Plan,
    terms: Terms,
    body: str,
    notes: dict[str, Any],
    trace: str | None,
) -> Submission:
    return Submission(
        job_id=terms.job_id or JOB_ID_PREFIX + uuid.uuid4().hex,
        model=model.name,
        workflow=request.workflow.value,
        request=request.model_dump(mode="json"),
        plan=planned,
        notes={**notes, **terms.notes} | ({WEBHOOK_URL: terms.webhook_url} if terms.webhook_url else {}),
        tenant=terms.tenant,
        priority=terms.priority,
        idempotency=terms.idempotency(body),
        retention=terms.retention,
        trace=trace,
    )


async def _entered(gateway: Gateway, submission: Submission, *, placed: bool) -> tuple[Job, int | None]:
    """A job that was named beforehand is a line of a batch, and nobody asks for the place of one."""
    return await gateway.jobs.enter(submission) if placed else (await gateway.jobs.submit(submission), None)
