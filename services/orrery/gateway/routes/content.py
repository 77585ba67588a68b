"""`/v1/videos/{id}/content`: a job's files, streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from orrery.gateway.context import Context
from orrery.gateway.routes.videos import checked_id
from orrery.gateway.sniffing import HEAD_BYTES, sniff
from orrery.jobs.records import Job, JobState
from orrery.worlds.catalog.models import MEDIA_TYPES
from orrery.worlds.errors import InvalidField, JobNotFinished
from orrery.worlds.requests import WorldRequest

router = APIRouter(prefix="/v1/videos")

VARIANTS = {"video": "media", "thumbnail": "thumbnail"}
"""Outputs of a job by OpenAI's names."""

EXTENSIONS = {
    "video/mp4": "mp4",
    "video/x-matroska": "mkv",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
}
UNKNOWN = "application/octet-stream"


@router.get("/{job_id}/content")
async def content(gateway: Context, request: Request, job_id: str, variant: str = "video") -> Response:
    """The file, with its digest as ETag."""
    if variant not in VARIANTS:
        raise InvalidField(f"there is no variant {variant!r}", field="variant", allowed=sorted(VARIANTS))
    job = await gateway.jobs.get(checked_id(job_id))
    if job.state is not JobState.COMPLETED:
        raise JobNotFinished(f"job {job.id} is {job.state}: only a completed job has content")
    ref = job.result[VARIANTS[variant]]
    etag = f'"{ref.digest}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    file = await _open(gateway.artifacts.stream(ref))
    media_type = media_type_of(job, variant, file.first)
    headers = {
        "ETag": etag,
        "Content-Length": str(ref.size),
        "Content-Disposition": f'attachment; filename="{_name(job, variant, media_type)}"',
    }
    return StreamingResponse(file.chunks(), media_type=media_type, headers=headers)


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
