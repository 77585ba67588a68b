"""Jobs that are looked at often: looks at the same moment are one call, and a record that is known is not sent again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from orrery.jobs import wire
from orrery.jobs.answers import no_such_job
from orrery.jobs.records import Job
from orrery.jobs.scripts import Scripts

KNOWN = 2_000
"""Records that are kept, the latest used."""

AT_ONCE = 32
"""Jobs in one call, so that it does not keep the server from others for long."""

Look = tuple[Job, int | None]


class Looks:
    """The same record is the same object, so that what was made of it can be kept with it."""

    def __init__(self, run: Scripts) -> None:
        self._run = run
        self._known: OrderedDict[str, tuple[str, Job]] = OrderedDict()
        self._asked: dict[str, asyncio.Future[Look]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def look(self, job_id: str) -> Look:
        """The job and its place in the queue, no older than this call. Raises `JobNotFound`."""
        if job_id not in self._asked:
            loop = asyncio.get_running_loop()
            if not self._asked:
                loop.call_soon(self._send)
            self._asked[job_id] = loop.create_future()
        # Others may wait for the same look when this caller gives up.
        return await asyncio.shield(self._asked[job_id])

    def _send(self) -> None:
        asked, self._asked = list(self._asked.items()), {}
        for first in range(0, len(asked), AT_ONCE):
            call = asyncio.create_task(self._call(dict(asked[first : first + AT_ONCE])))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, asked: dict[str, asyncio.Future[Look]]) -> None:
        known = {job_id: self._known.get(job_id, ("", None)) for job_id in asked}
        try:
            args = [word for job_id, (digest, _) in known.items() for word in (job_id, digest)]
            replies = await self._run("look", *args)
        except Exception as error:
            for future in asked.values():
                _fail(future, error)
            return
        for (job_id, future), reply in zip(asked.items(), replies, strict=True):
            if reply is None:
                self._known.pop(job_id, None)
                _fail(future, no_such_job(job_id))
            else:
                future.set_result(self._read(job_id, known[job_id][1], *reply))

    def _read(self, job_id: str, known: Job | None, digest: str, record: str | None, place: Any) -> Look:
        job = known if record is None and known is not None else wire.job(record or "")
        self._known[job_id] = digest, job
        self._known.move_to_end(job_id)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return job, None if place < 0 else int(place)


def _fail(future: asyncio.Future[Look], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # nobody may wait for it any more
