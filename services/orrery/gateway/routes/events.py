"""Events as they come: `/v1/videos/{id}/events` of one job, `/v1/events` of all."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, cast

from anyio import CancelScope
from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from orrery.gateway.context import Context
from orrery.gateway.routes.videos import checked_id
from orrery.gateway.views import PREVIEW, preview_view
from orrery.gateway.waiting import end
from orrery.jobs.records import Event, PreviewNote
from orrery.jobs.store import JobStore
from orrery.worlds.errors import InvalidField, StoreUnavailable

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1")

SILENCE_SECONDS = 15.0
"""After so long a comment is sent, for proxies that close what is quiet."""

RETRY = "retry: 2000\n"
"""How long a browser waits before it comes again, in milliseconds."""

LOOK_SECONDS = 1.0

FORGOTTEN = 'event: events.forgotten\ndata: {"type": "events.forgotten"}\n\n'

_EVENT_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")

LAST_EVENT_ID = "Last-Event-ID"
LastEventId = Annotated[str | None, Header()]


@router.get("/videos/{job_id}/events")
async def of_one(gateway: Context, job_id: str, last_event_id: LastEventId = None) -> Response:
    """Server-sent events from the first one, or from after `Last-Event-ID`, until the job's end."""
    after = checked_event_id(last_event_id, LAST_EVENT_ID) or "0"
    job = await gateway.jobs.get(checked_id(job_id))
    return _answer(RETRY, gateway.jobs.events(job_id=job.id, after=after))


@router.get("/events")
async def of_all(gateway: Context, last_event_id: LastEventId = None) -> Response:
    """Server-sent events of all jobs: from after `Last-Event-ID`, or from now on.

    The place is told before the first event, so that a client that loses the connection until then misses nothing either. A
    client that was away for longer than events are kept is told so by an event of its own, and should read the jobs anew.
    """
    asked = checked_event_id(last_event_id, LAST_EVENT_ID)
    after = asked or gateway.following.seen
    forgotten = FORGOTTEN if asked and await _is_forgotten(gateway.jobs, asked) else ""
    return _answer(f"{RETRY}id: {after}\n\n{forgotten}", gateway.jobs.events(after=after))


async def _is_forgotten(jobs: JobStore, event_id: str) -> bool:
    """Whether events after this one may be gone: the store keeps a certain number of them. 0 is before all that are kept."""
    oldest = asyncio.create_task(_oldest(jobs))
    await asyncio.wait({oldest}, timeout=LOOK_SECONDS)
    if not oldest.done():  # there are none
        await end(oldest)
        return False
    event = oldest.result()
    return event is not None and _numbers(event_id)[0] > 0 and _numbers(event_id) < _numbers(event.id)


async def _oldest(jobs: JobStore) -> Event | None:
    async with aclosing(cast(AsyncGenerator[Event, None], jobs.events(after="0"))) as kept:
        return await _next(kept)


def _numbers(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))


def checked_event_id(event_id: str | None, field: str) -> str | None:
    """Raises `InvalidField` for what is no event's id."""
    if event_id and not _EVENT_ID.fullmatch(event_id):
        raise InvalidField(f"{field} is no event's id", field=field, allowed="the id of an event")
    return event_id


def _answer(head: str, followed: AsyncIterator[Event]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Closed(_sse(head, followed), media_type="text/event-stream", headers=headers)


class _Closed(StreamingResponse):
    """Closes its stream as soon as nobody takes it: at the end of the process what it reads would be closed under it."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast(AsyncGenerator[str, None], self.body_iterator)):
            await super().stream_response(send)


async def _sse(head: str, followed: AsyncIterator[Event]) -> AsyncGenerator[str, None]:
    coming = asyncio.create_task(_next(followed))
    try:
        yield head
        while True:
            done, _ = await asyncio.wait({coming}, timeout=SILENCE_SECONDS)
            if not done:
                yield ": still here\n\n"
                continue
            event = coming.result()
            if event is None:
                return
            coming = asyncio.create_task(_next(followed))
            yield _wire(event)
    except StoreUnavailable as error:
        log.warning("%s", error.message)  # the client comes again with the id of the last event
    finally:
        with CancelScope(shield=True):
            await end(coming)
            await cast(AsyncGenerator[Event, None], followed).aclose()


async def _next(followed: AsyncIterator[Event]) -> Event | None:
    return await anext(followed, None)


def _data(event: Event) -> dict[str, Any]:
    """A preview is not sent to everybody who follows; who wants to see it knows where it is."""
    if PREVIEW not in event.data:
        return event.data
    return event.data | {PREVIEW: preview_view(event.job_id, PreviewNote.model_validate(event.data[PREVIEW]))}


def _wire(event: Event) -> str:
    data = json.dumps({"type": event.type, "job_id": event.job_id, "at": event.at, "data": _data(event)})
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n"
