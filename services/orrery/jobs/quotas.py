"""What each API key has used of its quota, counted in one place for all gateways."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio import Redis

from orrery.jobs.keys import ROOT
from orrery.jobs.outage import reply_of
from orrery.jobs.server import BesideJobs


class Limits(Protocol):
    """`jobs` and `device_seconds` in each window, `concurrent` jobs that have not been settled. None is no limit."""

    @property
    def window_seconds(self) -> int: ...
    @property
    def jobs(self) -> int | None: ...
    @property
    def concurrent(self) -> int | None: ...
    @property
    def device_seconds(self) -> float | None: ...


@dataclass(frozen=True)
class UsedUp:
    """The limit that was reached, and in how many seconds it may be worth to ask again."""

    name: str
    retry_after: float


class Quotas(Protocol):
    """The seam to the counts. Windows begin at multiples of their length, in Unix seconds."""

    async def reserve(self, key: str, job_id: str, limits: Limits) -> UsedUp | None:
        """Counts the job, unless a limit is reached; then nothing is counted. One step for all gateways."""
        ...

    async def release(self, key: str, job_id: str, limits: Limits) -> None:
        """The job that was counted never came to be. Once for each `reserve`."""
        ...

    async def live(self, key: str) -> dict[str, float]:
        """The jobs that were counted and not settled, and how many seconds ago that was; only of limits that look at them."""
        ...

    async def settle(self, key: str, job_id: str, seconds: float, limits: Limits) -> None:
        """The job has ended, and took `seconds` of devices; counted once."""
        ...


CONCURRENT_RETRY_SECONDS = 5.0


def _looks_at_live(limits: Limits) -> bool:
    """A count of jobs alone needs no names, of which there could be many."""
    return limits.concurrent is not None or limits.device_seconds is not None


class MemoryQuotas:
    """For one process, for tests. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._live: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._jobs: defaultdict[tuple[str, int, int], int] = defaultdict(int)
        self._seconds: defaultdict[tuple[str, int, int], float] = defaultdict(float)

    async def reserve(self, key: str, job_id: str, limits: Limits) -> UsedUp | None:
        window, left = self._window(key, limits)
        used = {"jobs": self._jobs[window], "device_seconds": self._seconds[window], "concurrent": len(self._live[key])}
        for name, amount in used.items():
            limit = getattr(limits, name)
            if limit is not None and amount >= limit:
                return UsedUp(name, CONCURRENT_RETRY_SECONDS if name == "concurrent" else left)
        if _looks_at_live(limits):
            self._live[key][job_id] = self._clock()
        self._jobs[window] += 1
        return None

    async def release(self, key: str, job_id: str, limits: Limits) -> None:
        self._live[key].pop(job_id, None)
        self._jobs[self._window(key, limits)[0]] -= 1

    async def live(self, key: str) -> dict[str, float]:
        return {job_id: self._clock() - since for job_id, since in self._live[key].items()}

    async def settle(self, key: str, job_id: str, seconds: float, limits: Limits) -> None:
        if self._live[key].pop(job_id, None) is not None:
            self._seconds[self._window(key, limits)[0]] += seconds

    def _window(self, key: str, limits: Limits) -> tuple[tuple[str, int, int], float]:
        number, past = divmod(self._clock(), limits.window_seconds)
        return (key, limits.window_seconds, int(number)), limits.window_seconds - past


WINDOW = """
local now, window = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
local number = math.floor(now / window)
local live, used = KEYS[1] .. ':live', KEYS[1] .. ':' .. window .. ':' .. number
"""

RESERVE = (
    WINDOW
    + """
local left = (number + 1) * window - now
local counts = redis.call('HMGET', used, 'jobs', 'device_seconds')
local found = {jobs = counts[1], device_seconds = counts[2], concurrent = redis.call('ZCARD', live)}
for i, name in ipairs({'jobs', 'device_seconds', 'concurrent'}) do
  local limit = tonumber(ARGV[2 + i])
  if limit and tonumber(found[name] or 0) >= limit then return {name, name == 'concurrent' and '' or tostring(left)} end
end
if ARGV[4] ~= '' or ARGV[5] ~= '' then redis.call('ZADD', live, now, ARGV[1]) end
redis.call('HINCRBY', used, 'jobs', 1)
redis.call('EXPIRE', used, 2 * window)
return {}
"""
)

RELEASE = WINDOW + "redis.call('ZREM', live, ARGV[1]) redis.call('HINCRBY', used, 'jobs', -1)"

SETTLE = (
    WINDOW
    + """
if redis.call('ZREM', live, ARGV[1]) == 1 then
  redis.call('HINCRBYFLOAT', used, 'device_seconds', ARGV[3])
  redis.call('EXPIRE', used, 2 * window)
end
"""
)


class RedisQuotas(BesideJobs):
    """Beside the jobs on their server; `client` must decode responses. Times are the server's."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self._reserve = client.register_script(RESERVE)
        self._release = client.register_script(RELEASE)
        self._settle = client.register_script(SETTLE)

    async def reserve(self, key: str, job_id: str, limits: Limits) -> UsedUp | None:
        bounds = ["" if bound is None else bound for bound in (limits.jobs, limits.device_seconds, limits.concurrent)]
        reached = await reply_of(self._reserve(keys=[_name(key)], args=[job_id, limits.window_seconds, *bounds]))
        return UsedUp(reached[0], float(reached[1] or CONCURRENT_RETRY_SECONDS)) if reached else None

    async def release(self, key: str, job_id: str, limits: Limits) -> None:
        await reply_of(self._release(keys=[_name(key)], args=[job_id, limits.window_seconds]))

    async def live(self, key: str) -> dict[str, float]:
        since = await reply_of(self._client.zrange(f"{_name(key)}:live", 0, -1, withscores=True))
        seconds, _ = await reply_of(self._client.time()) if since else (0, 0)
        return {job_id: max(0.0, seconds - at) for job_id, at in since}

    async def settle(self, key: str, job_id: str, seconds: float, limits: Limits) -> None:
        await reply_of(self._settle(keys=[_name(key)], args=[job_id, limits.window_seconds, seconds]))


def _name(key: str) -> str:
    return f"{ROOT}:quota:{key}"
