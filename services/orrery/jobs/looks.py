"""Jobs that are looked at often: looks at the same moment are one call, and a record that is known is not sent again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from orrery.jobs import wire
from orrery.jobs.answers import no_such_job
from orrery.jobs.records import Job, TaskState
from orrery.jobs.scripts import Scripts

KNOWN = 2_000
"""Records that are kept, the latest used."""

AT_ONCE = 32
"""Jobs in one call, so that it does not keep the server from others for long."""

Look = tuple[Job, int | None]


@dataclass(frozen=True)
class _Known:
    """A record under its version; `queued` is the task whose place is asked for."""

    version: str = ""
    queued: str = ""
    job: Job | None = None


UNKNOWN = _Known()


class Looks:
    """The same record is the same object, so that what was made of it can be kept with it."""

    def __init__(self, run: Scripts) -> None:
        self._run = run
        self._known: OrderedDict[str, _Known] = OrderedDict()
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
        known = {job_id: self._known.get(job_id, UNKNOWN) for job_id in asked}
        try:
            args = [word for job_id, one in known.items() for word in (job_id, one.version, one.queued)]
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
                future.set_result(self._read(job_id, known[job_id], *reply))

    def _read(self, job_id: str, known: _Known, version: str, record: str | None, place: int) -> Look:
        if record is not None:
            known = _known(version, wire.job(record))
        self._known[job_id] = known
        self._known.move_to_end(job_id)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        assert known.job is not None  # noqa: S101  without a record the version was the one of a record that is known
        return known.job, None if place < 0 else place


def _known(version: str, job: Job) -> _Known:
    return _Known(version, next((task.id for task in job.tasks if task.state is TaskState.QUEUED), ""), job)


def _fail(future: asyncio.Future[Look], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # nobody may wait for it any more
