"""What the gateway itself learns from the store's events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from orrery.jobs.records import Event
from orrery.jobs.store import JobStore
from orrery.worlds.errors import StoreUnavailable

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
ENDS = {"job.completed": "completed", "job.failed": "failed", "job.cancelled": "cancelled"}

Told = Callable[[Event], Awaitable[None]]


class Following:
    """Follows all events, over interruptions, from the last one seen; tells of the ends of jobs since it was made.

    `begin` is called once, before.
    """

    def __init__(self, jobs: JobStore, begin: Callable[[], Awaitable[None]], told: Told) -> None:
        self._jobs = jobs
        self._begin = begin
        self._told = told
        self._started = time.time()
        self.seen = "0"
        """The id of the last event."""

    async def run(self) -> None:
        begun = False
        while True:
            try:
                if not begun:
                    await self._begin()
                    begun = True
                await self._follow()
            except StoreUnavailable as error:
                log.warning("%s", error.message)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        async for event in self._jobs.events(after=self.seen):
            if event.at >= self._started and event.type in ENDS:
                await self._tell(event)
            self.seen = event.id

    async def _tell(self, event: Event) -> None:
        """One event that cannot be learned from must not end the learning."""
        try:
            await self._told(event)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("nothing learned from event %s of %s", event.id, event.job_id)
