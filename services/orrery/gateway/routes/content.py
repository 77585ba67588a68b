"""`/v1/videos/{id}/content`: a job's files, whole or in parts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from orrery.gateway.context import Context, Gateway
from orrery.gateway.errors import error_response
from orrery.gateway.ranges import Part, RangeNotSatisfiable, asked_part, is_known
from orrery.gateway.routes.videos import checked_id
from orrery.gateway.sniffing import HEAD_BYTES, sniff
from orrery.gateway.views import PREVIEW
from orrery.jobs.records import Job, JobState, Preview
from orrery.worlds.catalog.models import MEDIA_TYPES
from orrery.worlds.errors import ArtifactNotFound, InvalidField, JobNotFinished, PreviewNotFound
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.requests import WorldRequest

router = APIRouter(prefix="/v1")

VARIANTS = {"video": "media", "thumbnail": "thumbnail", "spritesheet": "spritesheet"}
"""Outputs of a job by OpenAI's names."""

EXTENSIONS = {
    "video/mp4": "mp4",
    "video/x-matroska": "mkv",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
}
Variant = Annotated[str, Query(json_schema_extra={"enum": sorted((*VARIANTS, PREVIEW))})]
UNKNOWN = "application/octet-stream"


@router.get("/videos/{job_id}/content")
async def content(gateway: Context, request: Request, job_id: str, variant: Variant = "video") -> Response:
    """The file or, as `Range` asks, one part of it; its digest is the ETag."""
    job = await gateway.jobs.get(checked_id(job_id))
    if variant == PREVIEW:
        return await preview(gateway, request, job)
    ref = file_of(job, variant)
    etag = f'"{ref.digest}"'
    if is_known(request.headers, etag):
        return Response(status_code=304, headers={"ETag": etag})
    try:
        part = asked_part(request.headers, ref.size, etag)
    except RangeNotSatisfiable as error:
        return error_response(error, {"Content-Range": f"bytes */{ref.size}", "Accept-Ranges": "bytes"})
    return await _answer(gateway, job, variant, ref, part)


@router.get("/images/{job_id}/content")
async def image(gateway: Context, request: Request, job_id: str) -> Response:
    """As of a video: an image is a job too."""
    return await content(gateway, request, job_id)


@router.head("/videos/{job_id}/content")
async def head(gateway: Context, request: Request, job_id: str, variant: Variant = "video") -> Response:
    """What a GET of the whole file would say of it."""
    job = await gateway.jobs.get(checked_id(job_id))
    if variant == PREVIEW:
        return await preview(gateway, request, job)
    ref = file_of(job, variant)
    if is_known(request.headers, f'"{ref.digest}"'):
        return Response(status_code=304, headers={"ETag": f'"{ref.digest}"'})
    media_type, headers = await described(gateway, job, variant, ref)
    return Response(media_type=media_type, headers=headers | {"Content-Length": str(ref.size)})


async def preview(gateway: Gateway, request: Request, job: Job) -> Response:
    """The newest, whole: it is smaller than a part of a file would be. To a HEAD the server sends no more than the headers."""
    found = await preview_of(gateway, job)
    etag = f'"{hashlib.sha256(found.image).hexdigest()}"'
    if is_known(request.headers, etag):
        return Response(status_code=304, headers={"ETag": etag})
    name = f'inline; filename="{_name(job, PREVIEW, found.media_type)}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Accept-Ranges": "none", "Content-Disposition": name}
    return Response(found.image, media_type=found.media_type, headers=headers)


async def preview_of(gateway: Gateway, job: Job) -> Preview:
    """Raises `PreviewNotFound`, which says why there is none."""
    found = await gateway.jobs.preview(job.id)
    if found is None:
        ended = job.state.ended or (await gateway.jobs.get(job.id)).state.ended
        why = "has ended: a preview is there while a job runs" if ended else "has no preview yet"
        raise PreviewNotFound(f"job {job.id} {why}")
    return found


def file_of(job: Job, variant: str) -> ArtifactRef:
    if variant not in VARIANTS:
        raise InvalidField(f"there is no variant {variant[:80]!r}", field="variant", allowed=sorted((*VARIANTS, PREVIEW)))
    if job.state is not JobState.COMPLETED:
        raise JobNotFinished(f"job {job.id} is {job.state}: only a completed job has content")
    if VARIANTS[variant] not in job.result:  # of a job that was planned by an earlier version
        raise ArtifactNotFound(f"job {job.id} has no {variant}")
    return job.result[VARIANTS[variant]]


async def _answer(gateway: Gateway, job: Job, variant: str, ref: ArtifactRef, part: Part | None) -> Response:
    media_type, headers = await described(gateway, job, variant, ref)
    if part is None:
        file = await _open(gateway.artifacts.stream(ref))
        headers["Content-Length"] = str(ref.size)
        return StreamingResponse(file.chunks(), media_type=media_type, headers=headers)
    file = await _open(gateway.artifacts.part(ref, part.start, part.stop))
    headers |= {"Content-Length": str(len(part)), "Content-Range": part.content_range(ref.size)}
    return StreamingResponse(file.chunks(), 206, media_type=media_type, headers=headers)


async def described(gateway: Gateway, job: Job, variant: str, ref: ArtifactRef) -> tuple[str, dict[str, str]]:
    """The media type and the headers that every answer about the file has."""
    head = b"" if variant == "video" else await anext(gateway.artifacts.part(ref, 0, min(HEAD_BYTES, ref.size)))
    media_type = media_type_of(job, variant, head)
    disposition = f'attachment; filename="{_name(job, variant, media_type)}"'
    return media_type, {"ETag": f'"{ref.digest}"', "Accept-Ranges": "bytes", "Content-Disposition": disposition}


@dataclass(frozen=True)
class _Opened:
    """A stream whose first chunk is read, so that a missing file is still an error and not half an answer."""

    first: bytes
    rest: AsyncIterator[bytes]

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.first
        async for chunk in self.rest:
            yield chunk


async def _open(chunks: AsyncIterator[bytes]) -> _Opened:
    return _Opened(await anext(chunks, b""), chunks)


def media_type_of(job: Job, variant: str, first: bytes) -> str:
    """Of the video what was asked for; of anything else what it is."""
    if variant == "video":
        return MEDIA_TYPES[WorldRequest.model_validate(job.request).output_format]
    return sniff(first[:HEAD_BYTES]) or UNKNOWN


def _name(job: Job, variant: str, media_type: str) -> str:
    suffix = "" if variant == "video" else f"_{variant}"
    return f"{job.id}{suffix}.{EXTENSIONS.get(media_type, 'bin')}"
