"""`/v1/batches`: many requests in one file, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from orrery.gateway.batching.feeder import Feeder
from orrery.gateway.batching.ordering import checked_batch_id, read_order
from orrery.gateway.batching.results import result_lines
from orrery.gateway.batching.validation import MEDIA_TYPE
from orrery.gateway.batching.views import batch_page_view, batch_view
from orrery.gateway.body import read_json
from orrery.gateway.context import Context, Gateway
from orrery.gateway.terms import tenant_of
from orrery.jobs.batches.records import Batch, BatchState

router = APIRouter(prefix="/v1/batches")


async def feeder_of(request: Request) -> Feeder:
    feeder: Feeder = request.app.state.feeder
    return feeder


Feeding = Annotated[Feeder, Depends(feeder_of)]


@router.post("")
async def create(request: Request, gateway: Context, feeder: Feeding) -> Response:
    """Takes a batch; its input is validated afterwards."""
    values = await read_json(request, gateway.settings)
    order = await read_order(gateway, request.headers, values, base_url=str(request.base_url))
    batch = await gateway.batches.create(order)
    feeder.wake()
    return JSONResponse(batch_view(batch))


@router.get("")
async def listing(
    request: Request,
    gateway: Context,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """The caller's batches, the latest first, after the batch `after`."""
    cursor = None if after is None else checked_batch_id(after)
    page = await gateway.batches.list(tenant_of(request.headers), after=cursor, limit=limit)
    return JSONResponse(batch_page_view(page))


@router.get("/{batch_id}")
async def read(request: Request, gateway: Context, batch_id: str) -> Response:
    """The batch as it stands."""
    return JSONResponse(batch_view(await _batch(request, gateway, batch_id)))


@router.post("/{batch_id}/cancel")
async def cancel(request: Request, gateway: Context, feeder: Feeding, batch_id: str) -> Response:
    """Begins nothing more and cancels what is under way; a batch that has ended, or whose results are written, stays."""
    batch = await _batch(request, gateway, batch_id)
    await gateway.batches.move(batch.id, BatchState.CANCELLING)
    feeder.wake()
    return JSONResponse(batch_view(await _batch(request, gateway, batch_id)))


@router.get("/{batch_id}/output")
async def output(request: Request, gateway: Context, batch_id: str) -> Response:
    """The lines of all requests that went well so far, while the batch runs too."""
    return await _results(gateway, await _batch(request, gateway, batch_id), ok=True)


@router.get("/{batch_id}/errors")
async def errors(request: Request, gateway: Context, batch_id: str) -> Response:
    """The lines of all requests that did not go well so far, while the batch runs too."""
    return await _results(gateway, await _batch(request, gateway, batch_id), ok=False)


async def _results(gateway: Gateway, batch: Batch, *, ok: bool) -> Response:
    lines = await _written(gateway, batch, ok=ok) if batch.state.ended else _so_far(gateway, batch, ok=ok)
    return StreamingResponse(lines, media_type=MEDIA_TYPE)


async def _written(gateway: Gateway, batch: Batch, *, ok: bool) -> AsyncIterator[bytes]:
    """Raises `FileNotKnown` if the file was deleted or has expired."""
    file_id = batch.facts.output_file_id if ok else batch.facts.error_file_id
    if file_id is None:
        return _nothing()
    return gateway.artifacts.stream((await gateway.files.get(file_id, batch.order.tenant)).content)


async def _so_far(gateway: Gateway, batch: Batch, *, ok: bool) -> AsyncIterator[bytes]:
    async for line in result_lines(gateway, batch, ok=ok):
        yield line.text


async def _nothing() -> AsyncIterator[bytes]:
    lines: tuple[bytes, ...] = ()
    for line in lines:
        yield line


async def _batch(request: Request, gateway: Gateway, batch_id: str) -> Batch:
    return await gateway.batches.get(checked_batch_id(batch_id), tenant_of(request.headers))
