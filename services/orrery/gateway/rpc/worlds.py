"""`orrery.v1.Worlds`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from io import BytesIO
from typing import Any, Literal, cast

from grpc.aio import ServicerContext

from orrery.gateway.context import Gateway
from orrery.gateway.following import ENDS
from orrery.gateway.routes.content import described, file_of, preview_of
from orrery.gateway.routes.events import checked_event_id
from orrery.gateway.routes.videos import checked_id
from orrery.gateway.rpc.messages import event_of, headers_of, values_of, world_of
from orrery.gateway.submitting import Taken
from orrery.gateway.taking import take_body, take_world
from orrery.gateway.terms import Terms, read_terms
from orrery.gateway.views import PREVIEW
from orrery.jobs.records import Event, Job, Preview
from orrery.v1 import worlds_pb2 as v1
from orrery.v1.worlds_pb2_grpc import WorldsServicer
from orrery.worlds.errors import InvalidField, OrreryError
from orrery.worlds.plan import ArtifactRef

Context = ServicerContext[Any, Any]

PAGE = 20
MAX_PAGE = 100
CHUNK_BYTES = 256 * 1024

ORDERS: dict[int, Literal["asc", "desc"]] = {
    v1.ListRequest.ORDER_UNSPECIFIED: "desc",
    v1.ListRequest.ORDER_DESCENDING: "desc",
    v1.ListRequest.ORDER_ASCENDING: "asc",
}


class Worlds(WorldsServicer):
    """One gateway's jobs. Methods raise the typed errors that the routes raise."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._leaving: set[asyncio.Task[None]] = set()

    async def Create(self, request: v1.CreateRequest, context: Context) -> v1.World:  # noqa: N802
        values = values_of(request)
        terms = read_terms(headers_of(context.invocation_metadata()), dict(values), self._gateway.settings, form=False)
        taken = await self._unless_left(self._take(request, values, terms))
        forecast = await self._gateway.forecaster.forecast_at(taken.job, taken.position)
        if not taken.replayed:
            self._gateway.forecaster.promise(taken.job, forecast)
        return world_of(taken.job, forecast, replayed=taken.replayed)

    async def _take(self, request: v1.CreateRequest, values: dict[str, Any], terms: Terms) -> Taken:
        if not request.HasField("input_reference"):
            return await take_body(self._gateway, values, terms, form=False)
        return await take_world(self._gateway, values, BytesIO(request.input_reference), terms, form=False)

    async def _unless_left(self, taking: Coroutine[Any, Any, Taken]) -> Taken:
        """A deadline that passes in the middle must not cut a submission in two: it is ended, then taken back."""
        task = asyncio.create_task(taking)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            withdrawing = asyncio.create_task(self._withdraw(task))
            self._leaving.add(withdrawing)
            withdrawing.add_done_callback(self._leaving.discard)
            raise

    async def _withdraw(self, task: asyncio.Task[Taken]) -> None:
        try:
            taken = await task
        except OrreryError:  # nothing was taken, and nobody is there to be told why
            return
        if taken.terms.key is None:
            await self._gateway.jobs.cancel(taken.job.id)

    async def close(self) -> None:
        """Waits for what calls that were left have still to take back."""
        await asyncio.gather(*self._leaving)

    async def Get(self, request: v1.GetRequest, context: Context) -> v1.World:  # noqa: N802, ARG002
        job, position = await self._gateway.jobs.look(checked_id(request.id))
        return world_of(job, await self._gateway.forecaster.forecast_at(job, position))

    async def List(self, request: v1.ListRequest, context: Context) -> v1.ListResponse:  # noqa: N802, ARG002
        if not 0 <= request.limit <= MAX_PAGE:
            raise InvalidField(f"limit {request.limit} is out of range", field="limit", allowed=f"1 to {MAX_PAGE}")
        if request.order not in ORDERS:
            raise InvalidField("there is no such order", field="order", allowed=sorted(v1.ListRequest.Order.keys()))
        after = checked_id(request.after) if request.after else None
        page = await self._gateway.jobs.list(after=after, limit=request.limit or PAGE, order=ORDERS[request.order])
        return v1.ListResponse(worlds=[await self._world(job) for job in page.jobs], has_more=page.has_more)

    async def Cancel(self, request: v1.CancelRequest, context: Context) -> v1.World:  # noqa: N802, ARG002
        return await self._world(await self._gateway.jobs.cancel(checked_id(request.id)))

    async def Watch(self, request: v1.WatchRequest, context: Context) -> AsyncIterator[v1.Event]:  # noqa: N802, ARG002
        after = checked_event_id(request.after or None, "after") or "0"
        job = await self._gateway.jobs.get(checked_id(request.id))
        async with aclosing(cast(AsyncGenerator[Event, None], self._gateway.jobs.events(job_id=job.id, after=after))) as events:
            async for event in events:
                world = await self._world(await self._gateway.jobs.get(job.id)) if event.type in ENDS else None
                yield event_of(event, world, await self._preview(event))

    async def _preview(self, event: Event) -> Preview | None:
        """The one that the event tells of; none if that is gone already."""
        if PREVIEW not in event.data:
            return None
        found = await self._gateway.jobs.preview(event.job_id)
        return found if found is not None and found.step == event.data[PREVIEW]["step"] else None

    async def Download(self, request: v1.DownloadRequest, context: Context) -> AsyncIterator[v1.Chunk]:  # noqa: N802, ARG002
        variant = request.variant or "video"
        job = await self._gateway.jobs.get(checked_id(request.id))
        if variant == PREVIEW:
            for chunk in _whole(await preview_of(self._gateway, job), request.offset):
                yield chunk
            return
        ref = file_of(job, variant)
        _check_offset(request.offset, ref.size)
        media_type, _ = await described(self._gateway, job, variant, ref)
        yield v1.Chunk(file=v1.FileInfo(media_type=media_type, size=ref.size, digest=ref.digest))
        if request.offset == ref.size:
            return
        async for data in self._from(ref, request.offset):
            for start in range(0, len(data), CHUNK_BYTES):
                yield v1.Chunk(data=bytes(data[start : start + CHUNK_BYTES]))

    def _from(self, ref: ArtifactRef, offset: int) -> AsyncIterator[bytes]:
        """Of the whole file the digest is checked on the way; of its end the client must, over what it had and this."""
        artifacts = self._gateway.artifacts
        return artifacts.part(ref, offset, ref.size) if offset else artifacts.stream(ref)

    async def _world(self, job: Job) -> v1.World:
        return world_of(job, await self._gateway.forecaster.forecast(job))


def _check_offset(offset: int, size: int) -> None:
    if not 0 <= offset <= size:
        raise InvalidField(f"offset {offset} is not in the file", field="offset", allowed=f"0 to {size}")


def _whole(preview: Preview, offset: int) -> list[v1.Chunk]:
    """What a file would come in, of what is smaller than a chunk."""
    size, digest = len(preview.image), hashlib.sha256(preview.image).hexdigest()
    _check_offset(offset, size)
    told = v1.Chunk(file=v1.FileInfo(media_type=preview.media_type, size=size, digest=digest))
    return [told, *([v1.Chunk(data=preview.image[offset:])] if offset < size else [])]
