"""Messages that are owed to receivers outside: kept beside the jobs until they are taken or given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from redis.asyncio import Redis

from orrery.jobs.keys import ROOT
from orrery.jobs.outage import reply_of
from orrery.jobs.server import BesideJobs
from orrery.worlds.plan import Frozen

WEBHOOK_URL = "webhook_url"
"""The note of a job that says who wants to be told of its end."""


class Delivery(Frozen):
    """`body` is what is sent to `url`; receivers know a repetition by its `id`. `attempts` failed so far.

    `trace` is the job's.
    """

    id: str
    job_id: str
    url: str
    body: str
    attempts: int = 0
    trace: str | None = None


class Cursor(Frozen):
    """The last event that was dealt with, and when it happened; at first, none."""

    event: str = "0"
    at: float = 0.0


class Deliveries(Protocol):
    async def cursor(self) -> Cursor: ...

    async def accept(self, deliveries: Sequence[Delivery], *, after: Cursor, cursor: Cursor) -> bool:
        """Owes the deliveries and moves the cursor from `after` to `cursor` in one transaction; False if it was elsewhere."""
        ...

    async def take(self, limit: int, *, seconds: float) -> list[Delivery]:
        """Deliveries that are due, the longest due first; nobody else is given them for `seconds`."""
        ...

    async def settle(self, delivery: Delivery) -> None:
        """Nothing is owed any more."""
        ...

    async def postpone(self, delivery: Delivery, *, seconds: float) -> None:
        """Counts a failed attempt; due again in so many seconds."""
        ...

    async def ask_again(self, job_id: str) -> None:
        """Somebody wants the messages about the job's end once more."""
        ...

    async def asked(self) -> list[str]:
        """Jobs that `ask_again` was called for."""
        ...

    async def answer(self, job_id: str, deliveries: Sequence[Delivery]) -> None:
        """Owes the deliveries, in place of what `ask_again` noted."""
        ...

    async def pending(self) -> int:
        """How many are owed."""
        ...


class MemoryDeliveries:
    """For one process, for tests, gone with the process. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._cursor = Cursor()
        self._owed: dict[str, tuple[float, Delivery]] = {}
        self._asked: dict[str, None] = {}

    async def cursor(self) -> Cursor:
        return self._cursor

    async def accept(self, deliveries: Sequence[Delivery], *, after: Cursor, cursor: Cursor) -> bool:
        if self._cursor != after:
            return False
        self._cursor = cursor
        self._owe(deliveries)
        return True

    def _owe(self, deliveries: Sequence[Delivery]) -> None:
        self._owed |= {delivery.id: (self._clock(), delivery) for delivery in deliveries}

    async def take(self, limit: int, *, seconds: float) -> list[Delivery]:
        now = self._clock()
        due = sorted((at, key) for key, (at, _) in self._owed.items() if at <= now)[:limit]
        taken = [self._owed[key][1] for _, key in due]
        self._owed |= {delivery.id: (now + seconds, delivery) for delivery in taken}
        return taken

    async def settle(self, delivery: Delivery) -> None:
        self._owed.pop(delivery.id, None)

    async def postpone(self, delivery: Delivery, *, seconds: float) -> None:
        self._owed[delivery.id] = self._clock() + seconds, failed_once_more(delivery)

    async def ask_again(self, job_id: str) -> None:
        self._asked[job_id] = None

    async def asked(self) -> list[str]:
        return list(self._asked)

    async def answer(self, job_id: str, deliveries: Sequence[Delivery]) -> None:
        self._asked.pop(job_id, None)
        self._owe(deliveries)

    async def pending(self) -> int:
        return len(self._owed)


def failed_once_more(delivery: Delivery) -> Delivery:
    return delivery.model_copy(update={"attempts": delivery.attempts + 1})


CURSOR, DUE, OWED, ASKED = (f"{ROOT}:webhooks:{name}" for name in ("cursor", "due", "owed", "asked"))

ACCEPT = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
for i = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[i])
end
return 1
"""

TAKE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local found = {}
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], ARGV[3], id)
  table.insert(found, redis.call('HGET', KEYS[2], id))
end
return found
"""


class RedisDeliveries(BesideJobs):
    """Beside the jobs on their server; `client` must decode responses. Times are those of this machine."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self._accept = client.register_script(ACCEPT)
        self._take = client.register_script(TAKE)

    async def cursor(self) -> Cursor:
        text = await reply_of(self._client.get(CURSOR))
        return Cursor() if text is None else Cursor.model_validate_json(text)

    async def accept(self, deliveries: Sequence[Delivery], *, after: Cursor, cursor: Cursor) -> bool:
        entries = [word for delivery in deliveries for word in (delivery.id, delivery.model_dump_json())]
        accepted = self._accept(keys=[CURSOR, DUE, OWED], args=[_text(after), _text(cursor), time.time(), *entries])
        return bool(await reply_of(accepted))

    async def take(self, limit: int, *, seconds: float) -> list[Delivery]:
        now = time.time()
        taken = self._take(keys=[DUE, OWED], args=[now, limit, now + seconds])
        return [Delivery.model_validate_json(text) for text in await reply_of(taken)]

    async def settle(self, delivery: Delivery) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zrem(DUE, delivery.id)
            pipe.hdel(OWED, delivery.id)
            await reply_of(pipe.execute())

    async def postpone(self, delivery: Delivery, *, seconds: float) -> None:
        await self._owe([failed_once_more(delivery)], due=time.time() + seconds)

    async def ask_again(self, job_id: str) -> None:
        await reply_of(self._client.sadd(ASKED, job_id))

    async def asked(self) -> list[str]:
        return sorted(await reply_of(self._client.smembers(ASKED)))

    async def answer(self, job_id: str, deliveries: Sequence[Delivery]) -> None:
        await self._owe(deliveries, due=time.time(), answered=job_id)

    async def _owe(self, deliveries: Sequence[Delivery], *, due: float, answered: str | None = None) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            for delivery in deliveries:
                pipe.hset(OWED, delivery.id, delivery.model_dump_json())
                pipe.zadd(DUE, {delivery.id: due})
            if answered is not None:
                pipe.srem(ASKED, answered)
            await reply_of(pipe.execute())

    async def pending(self) -> int:
        return int(await reply_of(self._client.zcard(DUE)))


def _text(cursor: Cursor) -> str:
    """As it is stored; nothing is, at first."""
    return "" if cursor == Cursor() else cursor.model_dump_json()
