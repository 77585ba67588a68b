"""`/v1/videos/{id}/events`: one job's events as they come."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from orrery.gateway.context import Context
from orrery.gateway.routes.videos import checked_id
from orrery.gateway.waiting import end
from orrery.jobs.records import Event
from orrery.worlds.errors import InvalidField, StoreUnavailable

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/videos")

SILENCE_SECONDS = 15.0
"""After so long a comment is sent, for proxies that close what is quiet."""

_EVENT_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")


@router.get("/{job_id}/events")
async def events(gateway: Context, job_id: str, last_event_id: Annotated[str, Header()] = "0") -> Response:
    """Server-sent events from the first one, or from after `Last-Event-ID`, until the job's end."""
    if not _EVENT_ID.fullmatch(last_event_id):
        raise InvalidField("Last-Event-ID is no event's id", field="Last-Event-ID", allowed="the id of an event")
    job = await gateway.jobs.get(checked_id(job_id))
    followed = gateway.jobs.events(job_id=job.id, after=last_event_id)
    return StreamingResponse(_sse(followed), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _sse(followed: AsyncIterator[Event]) -> AsyncGenerator[str, None]:
    coming = asyncio.create_task(_next(followed))
    try:
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
        await end(coming)


async def _next(followed: AsyncIterator[Event]) -> Event | None:
    return await anext(followed, None)


def _wire(event: Event) -> str:
    data = json.dumps({"type": event.type, "job_id": event.job_id, "at": event.at, "data": event.data})
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n"
