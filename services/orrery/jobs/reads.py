"""Blocking reads of streams, cut into pieces that the client's socket time-out never interrupts."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis

from orrery.jobs.keys import GROUP
from orrery.jobs.outage import outages_named

Entry = tuple[str, dict[str, str]]

BATCH = 100
LONGEST = 30.0


class Reads:
    """Reads that wait at most half as long as the client waits for an answer."""

    def __init__(self, client: Redis):
        self._client = client
        pool = client.connection_pool
        # Asked of a connection (that is never opened), since only it knows the default.
        patience = pool.connection_class(**pool.connection_kwargs).socket_timeout
        self.longest = min(LONGEST, patience / 2) if patience else LONGEST

    async def later(self, stream: str, after: str, *, wait: float) -> list[Entry]:
        """Entries later than `after`; none if none came for `wait` seconds (or sooner, if that is long)."""
        with outages_named():
            reply = await self._client.xread({stream: after}, count=BATCH, block=self._milliseconds(wait))
        return _entries(reply, stream)

    async def next_of_group(self, streams: list[str], consumer: str, *, wait: float) -> list[tuple[str, Entry]]:
        """At most one entry of each stream, that nobody of the group was given yet; none as `later` gives none."""
        block = self._milliseconds(wait)
        with outages_named():
            reply = await self._client.xreadgroup(GROUP, consumer, dict.fromkeys(streams, ">"), count=1, block=block)
        return [(stream, entry) for stream in streams for entry in _entries(reply, stream)]

    async def follow(self, stream: str, after: str) -> AsyncGenerator[Entry, None]:
        """Entries later than `after`, then each as it comes, for ever."""
        while True:
            for entry in await self.later(stream, after, wait=self.longest):
                yield entry
                after = entry[0]

    async def last_id(self, stream: str) -> str:
        """The id after which everything is yet to come."""
        with outages_named():
            newest = await self._client.xrevrange(stream, count=1)
        return str(newest[0][0]) if newest else "0"

    def _milliseconds(self, wait: float) -> int | None:
        # BLOCK 0 would wait for ever, so no wait at all is no BLOCK at all.
        return math.ceil(min(wait, self.longest) * 1000) or None


def _entries(reply: Any, stream: str) -> list[Entry]:
    # By version of the protocol: a list of pairs, a mapping, or (the third, asked for by name) a mapping to lists of lists.
    entries = dict(reply).get(stream, [])
    return entries[0] if entries and isinstance(entries[0], list) else entries
