"""Blocking reads of streams, cut into pieces that the client's socket time-out never interrupts."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from redis.asyncio import Redis

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
        return _entries(await self._read({stream: after}, wait), stream)

    async def await_any(self, after: Mapping[str, str], *, wait: float) -> None:
        """Until any of the streams has a later entry than the one named, or `wait` seconds (or sooner, if that is long)."""
        await self._read(after, wait)

    async def _read(self, after: Mapping[str, str], wait: float) -> Any:
        # BLOCK 0 would wait for ever, so no wait at all is no BLOCK at all.
        streams: dict[Any, Any] = dict(after)
        block = math.ceil(min(wait, self.longest) * 1000) or None
        with outages_named():
            return await self._client.xread(streams, count=BATCH, block=block)

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


def _entries(reply: Any, stream: str) -> list[Entry]:
    # By version of the protocol: a list of pairs, a mapping, or (the third, asked for by name) a mapping to lists of lists.
    entries = dict(reply).get(stream, [])
    return entries[0] if entries and isinstance(entries[0], list) else entries
