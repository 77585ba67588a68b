"""Events for many followers, of one job or of all, with one connection: a gateway may hold thousands of streams."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from contextvars import Context

from orrery.jobs import keys
from orrery.jobs.answers import no_such_job
from orrery.jobs.cancelling import end
from orrery.jobs.reads import BATCH, Entry, Reads
from orrery.jobs.records import JobState
from orrery.worlds.errors import StoreUnavailable

MOST_HELD = 1_000
"""Entries for a follower that does not take them. One that is further behind reads the store again."""

ENDS = frozenset(f"job.{state}" for state in JobState if state.ended)

StateOf = Callable[[str], Awaitable[JobState | None]]


class Heard:
    """What came for one follower and was not taken yet."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._came = asyncio.Event()
        self._lagged = False
        self._error: StoreUnavailable | None = None

    def put(self, entry: Entry) -> None:
        if len(self._entries) < MOST_HELD:
            self._entries.append(entry)
        else:
            self._lagged = True
        self._came.set()

    def fail(self, error: StoreUnavailable) -> None:
        self._error = error
        self._came.set()

    async def next(self, after: str) -> Entry | None:
        """The next one later than that id, when it has come; None if some are missing. Raises `StoreUnavailable`."""
        seen = _order(after)
        while True:
            while self._entries:
                entry = self._entries.popleft()
                if _order(entry[0]) > seen:
                    return entry
            if self._error is not None:
                raise self._error
            if self._lagged:
                self._lagged = False
                return None
            self._came.clear()
            await self._came.wait()


class Fanout:
    """Reads the stream of all events while anybody follows, and gives each follower what it is for."""

    def __init__(self, reads: Reads, state_of: StateOf) -> None:
        self._reads = reads
        self._state_of = state_of
        self._followers: defaultdict[str | None, set[Heard]] = defaultdict(set)
        self._reading: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    async def of_all(self, after: str) -> AsyncGenerator[Entry, None]:
        """Entries later than `after`, then each as it comes, for ever."""
        async with self._heard(None) as heard:
            while True:
                async with aclosing(self._kept(keys.EVENTS, after)) as kept:
                    async for entry in kept:
                        yield entry
                        after = entry[0]
                while news := await heard.next(after):
                    yield news
                    after = news[0]

    async def of_one(self, job_id: str, after: str) -> AsyncGenerator[Entry, None]:
        """As `of_all`, of one job, until its end or its deletion. Raises `JobNotFound`."""
        async with self._heard(job_id) as heard:
            state = await self._state_of(job_id)
            if state is None:
                raise no_such_job(job_id)
            while True:
                # Read after the state was asked: what an ended job has to say is then all there.
                last = ""
                async with aclosing(self._kept(keys.job_events(job_id), after)) as kept:
                    async for entry in kept:
                        yield entry
                        after, last = entry[0], entry[1]["type"]
                if state is None or state.ended:
                    return
                # An end that came after the state was asked may be among what was kept: nothing more is heard then.
                while last not in ENDS and (news := await heard.next(after)):
                    yield news
                    after, last = news[0], news[1]["type"]
                state = await self._state_of(job_id)

    async def _kept(self, stream: str, after: str) -> AsyncGenerator[Entry, None]:
        """What is there already."""
        batch: list[Entry] | None = None
        while batch is None or len(batch) == BATCH:
            batch = await self._reads.later(stream, after, wait=0)
            for entry in batch:
                yield entry
                after = entry[0]

    @asynccontextmanager
    async def _heard(self, job_id: str | None) -> AsyncIterator[Heard]:
        """Everything from now on; what is older is in the store by then."""
        heard = Heard()
        self._followers[job_id].add(heard)
        try:
            if self._reading is None:
                self._begun.clear()
                # For all followers: whoever happens to be the first is not whose work it is.
                self._reading = asyncio.create_task(self._read(), context=Context())
            await self._begun.wait()
            yield heard
        finally:
            self._followers[job_id].discard(heard)
            if not self._followers[job_id]:
                del self._followers[job_id]
            if not self._followers and self._reading is not None:
                reading, self._reading = self._reading, None
                await end(reading)

    async def _read(self) -> None:
        try:
            after = await self._reads.last_id(keys.EVENTS)
            self._begun.set()
            async for entry in self._reads.follow(keys.EVENTS, after):
                for name in (None, entry[1]["job"]):
                    for heard in self._followers.get(name, ()):
                        heard.put(entry)
        except StoreUnavailable as error:
            self._reading = None
            for followers in self._followers.values():
                for heard in followers:
                    heard.fail(error)
            self._begun.set()


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))
