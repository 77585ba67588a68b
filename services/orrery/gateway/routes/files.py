"""`/v1/files`: what clients put here for later, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from orrery.gateway.body import read_upload
from orrery.gateway.context import Context
from orrery.gateway.shelf import checked_file_id, file_view, keep_upload
from orrery.gateway.terms import tenant_of

router = APIRouter(prefix="/v1/files")


@router.post("")
async def upload(request: Request, gateway: Context) -> Response:
    """Stores `file` for a `purpose`, for as long as `expires_after` says."""
    tenant = tenant_of(request.headers)
    async with read_upload(request, gateway.settings) as body:
        return JSONResponse(file_view(await keep_upload(gateway, tenant, body.values)))


@router.get("")
async def listing(
    request: Request,
    gateway: Context,
    purpose: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """The caller's files by creation, after the file `after`."""
    cursor = None if after is None else checked_file_id(after)
    tenant = tenant_of(request.headers)
    page = await gateway.files.list(tenant, purpose=purpose, after=cursor, limit=limit, order=order)
    ids = [file.id for file in page.files]
    ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return JSONResponse({"object": "list", "data": list(map(file_view, page.files)), **ends, "has_more": page.has_more})


@router.get("/{file_id}")
async def read(request: Request, gateway: Context, file_id: str) -> Response:
    """What is known of a file; its bytes are its content."""
    return JSONResponse(file_view(await gateway.files.get(checked_file_id(file_id), tenant_of(request.headers))))


@router.get("/{file_id}/content")
async def content(request: Request, gateway: Context, file_id: str) -> Response:
    """The bytes as they came, never to be shown by a browser."""
    file = await gateway.files.get(checked_file_id(file_id), tenant_of(request.headers))
    etag = f'"{file.content.digest}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    chunks = gateway.artifacts.stream(file.content)
    first = await anext(chunks, b"")  # a file that is missing is still an error then, and not half an answer
    headers = {
        "ETag": etag,
        "Content-Length": str(file.content.size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_with(first, chunks), media_type=file.content.media_type, headers=headers)


@router.delete("/{file_id}")
async def delete(request: Request, gateway: Context, file_id: str) -> Response:
    """Forgets the file; batches and jobs that were made of it go on."""
    file = await gateway.files.delete(checked_file_id(file_id), tenant_of(request.headers))
    return JSONResponse({"id": file.id, "object": "file", "deleted": True})


async def _with(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
