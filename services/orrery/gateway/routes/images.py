"""`/v1/images/generations`: images in the answer to the request that asks for them."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from orrery.gateway.body import read_json
from orrery.gateway.context import Context, Gateway
from orrery.gateway.errors import GenerationTimeout
from orrery.gateway.fields import read_value, refuse_unknown, requested_world
from orrery.gateway.submitting import guard, submit
from orrery.gateway.terms import read_terms
from orrery.gateway.waiting import CLIENT_GONE, all_completed, first_of, until_disconnect
from orrery.jobs.records import Job
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.errors import InvalidField
from orrery.worlds.requests import WorldRequest, settle

router = APIRouter(prefix="/v1/images")

WORLD_FIELDS = (
    "prompt",
    "negative_prompt",
    "size",
    "resolution",
    "aspect_ratio",
    "num_inference_steps",
    "guidance_scale",
    "seed",
    "sampler",
    "numerics",
)
KNOWN_FIELDS = (*WORLD_FIELDS, "model", "n", "response_format", "priority")
RESPONSE_FORMATS = ("b64_json",)


@router.post("/generations")
async def generate(request: Request, gateway: Context) -> Response:
    """`n` images of seeds `seed`, `seed + 1`, ...; a client that leaves cancels them."""
    values = await read_json(request, gateway.settings)
    refuse_unknown(values, KNOWN_FIELDS)
    terms = replace(read_terms(request.headers, values, gateway.settings, form=False), key=None)  # it names one job, not n
    model, worlds = _worlds(gateway, values)
    guard(worlds[0])
    jobs: list[Job] = []
    try:
        for world in worlds:
            job, _ = await submit(gateway, world, model, terms)
            jobs.append(job)
        done = await _wait(gateway, request, jobs)
    except BaseException:
        await _cancel(gateway, jobs)
        raise
    if done is None:
        await _cancel(gateway, jobs)
        return Response(status_code=CLIENT_GONE)
    images = [await _image(gateway, job, world.seed) for job, world in zip(done, worlds, strict=True)]
    return JSONResponse({"created": int(time.time()), "data": images})


def _worlds(gateway: Gateway, values: dict[str, Any]) -> tuple[ModelSpec, list[WorldRequest]]:
    model = gateway.model(values.pop("model", None))
    count = _count(values.pop("n", None), model)
    _check_response_format(values.pop("response_format", None))
    asked = requested_world(values, model, Workflow.TEXT2IMAGE, form=False)
    seeds = range(asked.seed, asked.seed + count)
    return model, [settle(asked.model_copy(update={"seed": seed}), model, Workflow.TEXT2IMAGE) for seed in seeds]


def _count(value: Any, model: ModelSpec) -> int:
    count = 1 if value is None else read_value("n", value, form=False)
    if type(count) is not int or not 1 <= count <= model.max_outputs:
        raise InvalidField("n is out of range", field="n", allowed=f"1 to {model.max_outputs}")
    return count


def _check_response_format(value: Any) -> None:
    if value is not None and value not in RESPONSE_FORMATS:
        raise InvalidField("response_format is not offered", field="response_format", allowed=list(RESPONSE_FORMATS))


async def _wait(gateway: Gateway, request: Request, jobs: Sequence[Job]) -> list[Job] | None:
    """The completed jobs, or None if the client has gone."""
    limit = gateway.settings.generation_timeout_seconds
    waiting = asyncio.ensure_future(all_completed(gateway.jobs, jobs))
    done = await first_of(waiting, until_disconnect(request), seconds=limit)
    if done is None:
        raise GenerationTimeout(f"the images were not ready within {limit:g} seconds")
    return waiting.result() if done is waiting else None


async def _cancel(gateway: Gateway, jobs: Sequence[Job]) -> None:
    for job in jobs:
        await gateway.jobs.cancel(job.id)


async def _image(gateway: Gateway, job: Job, seed: int) -> dict[str, Any]:
    data = await gateway.artifacts.get(job.result["media"])
    return {"b64_json": base64.b64encode(data).decode(), "revised_prompt": None, "seed": seed}
