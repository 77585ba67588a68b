"""`/v1/images/generations`: images in the answer to the request that asks for them."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from orrery.gateway.body import read_json
from orrery.gateway.context import Context, Gateway
from orrery.gateway.errors import GenerationTimeout
from orrery.gateway.imaging import AskedImages, settle_images, take_image
from orrery.gateway.routes.videos import REPLAYED
from orrery.gateway.taking import Taken
from orrery.gateway.terms import Terms, read_terms
from orrery.gateway.waiting import CLIENT_GONE, all_completed, first_of, until_disconnect
from orrery.jobs.records import Job

router = APIRouter(prefix="/v1/images")


@router.post("/generations")
async def generate(request: Request, gateway: Context) -> Response:
    """`n` images of seeds `seed`, `seed + 1`, ...

    A client that leaves, or waited too long, cancels them, unless it gave them a key: the key is there to ask again.
    """
    values = await read_json(request, gateway.settings)
    asked = settle_images(gateway, values)
    terms = read_terms(request.headers, values, gateway.settings, form=False)
    taken: list[Taken] = []
    try:
        done = await _made(gateway, request, asked, terms, taken)
    except BaseException:
        await _cancel(gateway, taken)
        raise
    if done is None:
        await _cancel(gateway, taken)
        return Response(status_code=CLIENT_GONE)
    images = [await _image(gateway, request, asked, index, job) for index, job in enumerate(done)]
    replayed = {REPLAYED: "true"} if all(one.replayed for one in taken) else {}
    return JSONResponse({"created": int(time.time()), "data": images}, headers=replayed)


async def _made(gateway: Gateway, request: Request, asked: AskedImages, terms: Terms, taken: list[Taken]) -> list[Job] | None:
    """The completed jobs, or None if the client has gone. What was taken is told in `taken`, however this ends."""
    for index in range(len(asked.worlds)):
        taken.append(await take_image(gateway, asked, index, terms))  # noqa: PERF401  those taken must be known at a failure
    limit = gateway.settings.generation_timeout_seconds
    waiting = asyncio.ensure_future(all_completed(gateway.jobs, [one.job for one in taken]))
    done = await first_of(waiting, until_disconnect(request), seconds=limit)
    if done is None:
        raise GenerationTimeout(f"the images were not ready within {limit:g} seconds")
    return waiting.result() if done is waiting else None


async def _cancel(gateway: Gateway, taken: Sequence[Taken]) -> None:
    for one in taken:
        if one.terms.key is None:
            await gateway.jobs.cancel(one.job.id)


async def _image(gateway: Gateway, request: Request, asked: AskedImages, index: int, job: Job) -> dict[str, Any]:
    written = await FORMS[asked.response_format](gateway, request, job)
    return written | {"revised_prompt": None, "seed": asked.worlds[index].seed, "id": job.id}


async def _inline(gateway: Gateway, _request: Request, job: Job) -> dict[str, Any]:
    return {"b64_json": base64.b64encode(await gateway.artifacts.get(job.result["media"])).decode()}


async def _by_address(_gateway: Gateway, request: Request, job: Job) -> dict[str, Any]:
    """Where this gateway serves the file, at the name by which the client called it."""
    return {"url": f"{request.base_url}v1/images/{job.id}/content"}


FORMS: dict[str, Callable[[Gateway, Request, Job], Awaitable[dict[str, Any]]]] = {"b64_json": _inline, "url": _by_address}
