"""`/v1/videos/{id}/remix`, `/v1/videos/extensions`, `/v1/videos/edits`: worlds made of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from orrery.gateway import deriving
from orrery.gateway.body import read_body
from orrery.gateway.clips import Keep
from orrery.gateway.context import Context, Gateway
from orrery.gateway.deriving import Source, source_of
from orrery.gateway.routes.videos import accepted, checked_id
from orrery.gateway.submitting import JOB_ID_PREFIX, Taken
from orrery.gateway.taking import take_body
from orrery.gateway.terms import Terms, read_terms
from orrery.worlds.errors import InvalidField
from orrery.worlds.synonyms import refuse_unknown

router = APIRouter(prefix="/v1/videos")

VIDEO = "video"
Derive = Callable[..., Awaitable[Taken]]


@router.post("/{job_id}/remix", status_code=202)
async def remix(gateway: Context, request: Request, job_id: str) -> Response:
    """The same request under another prompt, with the same seed."""
    async with read_body(request, gateway.settings) as body:
        terms = read_terms(request.headers, dict(body.values), gateway.settings, form=body.form)
        source = await source_of(gateway, checked_id(job_id))
        return await accepted(gateway, await deriving.remix(gateway, source, body.values, terms, form=body.form))


@router.post("/extensions", status_code=202)
async def extend(gateway: Context, request: Request) -> Response:
    """A film that goes on from the last frames of another: `video` is `{"id": ...}` of a job here, or a clip.

    Of a job here the answer is the whole film, with the source's frames as they were; of a clip the new part alone.
    """
    return await _derived(gateway, request, deriving.extend, Keep.LAST)


@router.post("/edits", status_code=202)
async def edit(gateway: Context, request: Request) -> Response:
    """Another film from the first frame of a film: `video` is `{"id": ...}` of a job here, or a clip."""
    return await _derived(gateway, request, deriving.edit, Keep.FIRST)


async def _derived(gateway: Gateway, request: Request, derive: Derive, keep: Keep) -> Response:
    async with read_body(request, gateway.settings) as body:
        terms = read_terms(request.headers, dict(body.values), gateway.settings, form=body.form)
        return await accepted(gateway, await _taken(gateway, body.values, terms, derive, keep, form=body.form))


async def _taken(gateway: Gateway, values: Mapping[str, Any], terms: Terms, derive: Derive, keep: Keep, *, form: bool) -> Taken:
    video = values.get(VIDEO)
    if video is None:
        raise InvalidField("video is missing", field=VIDEO, allowed=['{"id": "video_..."}', "a clip, as input_reference"])
    job_id = _job_id(video)
    if job_id is None:
        return await take_body(gateway, values, terms, form=form, keep=keep)
    source: Source = await source_of(gateway, checked_id(job_id))
    rest = {name: value for name, value in values.items() if name != VIDEO}
    return await derive(gateway, source, rest, terms, form=form)


def _job_id(video: Any) -> str | None:
    """Of a job that the video is; None of a clip."""
    if isinstance(video, dict) and "id" in video:
        refuse_unknown(video, ("id",))
        video = video["id"]
        if not isinstance(video, str):
            raise InvalidField("the id of a video is a text", field=VIDEO, allowed='{"id": "video_..."}')
        return video
    return video if isinstance(video, str) and video.startswith(JOB_ID_PREFIX) else None
