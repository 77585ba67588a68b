"""`/v1/images/generations`: images in the answer to the request that asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from orrery.gateway.body import read_json
from orrery.gateway.context import Context, Gateway
from orrery.gateway.errors import GenerationTimeout
from orrery.gateway.imaging import AskedImages, image_view, settle_images, take_image
from orrery.gateway.routes.videos import REPLAYED
from orrery.gateway.submitting import Taken
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
    images = [await image_view(gateway, job, asked.response_format, str(request.base_url)) for job in done]
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
