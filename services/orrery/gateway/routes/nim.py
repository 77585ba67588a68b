"""The Cosmos NIM's routes: `/v1/infer`, and what its users ask of a service beside it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from importlib.metadata import version
from io import BytesIO
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from PIL import Image

from orrery.gateway.body import read_json
from orrery.gateway.context import Context, Gateway
from orrery.gateway.edge.callers import ADMIN
from orrery.gateway.errors import GenerationTimeout
from orrery.gateway.fields import requested_world
from orrery.gateway.nim.fields import Translated, checked_reference, conditional_frames, in_the_words_of, translate
from orrery.gateway.routes import service
from orrery.gateway.submitting import guard, submit
from orrery.gateway.taking import settle_body, take_world
from orrery.gateway.terms import Terms, read_terms
from orrery.gateway.upsampled import chosen_prompt
from orrery.gateway.waiting import CLIENT_GONE, all_completed, first_of, until_disconnect
from orrery.jobs.records import Job
from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.requests import settle

router = APIRouter(prefix="/v1")

UPSAMPLED = "X-Orrery-Prompt-Upsampled"
API_VERSION = "1.0.0"
"""Of the NIM's API, whose shape this is."""

JPEG_QUALITY = 95


@router.post("/infer")
async def infer(request: Request, gateway: Context) -> Response:
    """Takes a job, waits for its file and answers with it in base64; a client that leaves cancels the job.

    As in a NIM whose language model is not set up or fails, `prompt_upsampling` is no error then: `upsampled_prompt` is the
    prompt that was used, and a header says whether it was rewritten.
    """
    body = await read_json(request, gateway.settings)
    terms = read_terms(request.headers, {}, gateway.settings, form=False)
    asked = translate(body)
    with in_the_words_of(asked.origin):
        job = await _take(gateway, asked, terms)
    done = await _finished(gateway, request, job, keep=terms.key is not None)
    if done is None:
        return Response(status_code=CLIENT_GONE)
    headers = {UPSAMPLED: str(chosen_prompt(done)[1]).lower(), "X-Orrery-Job": done.id}
    return JSONResponse(await _answer(gateway, done), headers=headers)


async def _take(gateway: Gateway, asked: Translated, terms: Terms) -> Job:
    upsampled = asked.upsampling and asked.workflow in gateway.model(asked.values.get("model")).upsampling
    values = asked.values | {"prompt_upsampling": upsampled}
    if asked.workflow is Workflow.TEXT2IMAGE:
        return await _take_image(gateway, values, terms)
    settle_body(gateway, values, referenced=asked.reference is not None, form=False)  # before anything is fetched
    async with gateway.references.opened(asked.reference, terms.tenant) as file:
        if file is not None:
            clip = checked_reference(asked.origin["input_reference"], file)
            values["num_conditional_frames"] = conditional_frames(gateway.model(values.get("model")), clip=clip)
        return (await take_world(gateway, values, file, terms, form=False)).job


async def _take_image(gateway: Gateway, values: dict[str, Any], terms: Terms) -> Job:
    model = gateway.model(values.pop("model", None))
    world = settle(requested_world(values, model, Workflow.TEXT2IMAGE, form=False), model, Workflow.TEXT2IMAGE)
    guard(world)
    return (await submit(gateway, world, model, terms, body=json.dumps(values, sort_keys=True))).job


async def _finished(gateway: Gateway, request: Request, job: Job, *, keep: bool) -> Job | None:
    """The completed job, or None if the client has gone. Raises `GenerationTimeout`, or the job's own error.

    A job that nobody waits for any more is cancelled, unless `keep`: a client that gave it a key may ask for it again.
    """
    waiting = asyncio.ensure_future(all_completed(gateway.jobs, [job]))
    done = await first_of(waiting, until_disconnect(request), seconds=gateway.settings.generation_timeout_seconds)
    if done is waiting:
        return waiting.result()[0]
    if not keep:
        await gateway.jobs.cancel(job.id)
    if done is None:
        raise GenerationTimeout(f"job {job.id} was not ready within {gateway.settings.generation_timeout_seconds:g} seconds")
    return None


async def _answer(gateway: Gateway, job: Job) -> dict[str, Any]:
    data = bytes(await gateway.artifacts.get(job.result["media"]))
    seed, prompt = job.request["seed"], chosen_prompt(job)[0]
    if job.workflow == Workflow.TEXT2IMAGE:
        return {"b64_image": _base64(await asyncio.to_thread(_jpeg, data)), "seed": seed, "upsampled_prompt": prompt}
    return {"b64_video": _base64(data), "seed": seed, "upsampled_prompt": prompt}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _jpeg(png: bytes) -> bytes:
    """Of a picture that a stage made: the NIM answers with JPEG."""
    file = BytesIO()
    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        image.convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


@router.get("/health/live")
async def live() -> Response:
    """200 while the gateway answers."""
    return JSONResponse({"description": "Triton liveness check", "status": "live"})


@router.get("/health/ready")
async def ready(gateway: Context) -> Response:
    """As `/health/ready`, in the NIM's words."""
    answer = await service.ready(gateway)
    told: Mapping[str, Any] = json.loads(bytes(answer.body))
    described = {"description": "Triton readiness check", "status": told["status"], "missing": told["missing"]}
    return JSONResponse(described, status_code=answer.status_code)


@router.get("/metrics", dependencies=[ADMIN])
async def metrics(gateway: Context) -> Response:
    """As `/metrics`."""
    return await service.metrics(gateway)


@router.get("/version")
async def release() -> Response:
    """Orrery's version and that of the NIM's API."""
    return JSONResponse({"release": version("orrery-serve"), "api": API_VERSION})


@router.get("/license")
async def license_() -> Response:
    """Under which license Orrery is."""
    return JSONResponse({"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"})


@router.get("/metadata")
async def metadata(gateway: Context) -> Response:
    """What is served: a model's `modelUrl` is where this gateway tells its parameters."""
    models = [{"shortName": name, "modelUrl": f"/v1/models/{name}"} for name in gateway.settings.models]
    return JSONResponse(
        {
            "version": version("orrery-serve"),
            "modelInfo": models,
            "selectedModelProfileId": gateway.settings.default_model,
            "repository_override": "",
            "assetInfo": [component for name in gateway.settings.models for component in CATALOG[name].components],
            "licenseInfo": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        }
    )


@router.get("/manifest")
async def manifest(gateway: Context) -> Response:
    """The components of each served model; files and digests are in the components' own manifests, with the stages."""
    return JSONResponse(
        {
            "manifest_file": {name: list(CATALOG[name].components) for name in gateway.settings.models},
            "repository": "",
        }
    )
