"""Files that clients uploaded, or that were made for them: what is known of them. Their bytes are artifacts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

from redis.asyncio import Redis

from orrery.jobs.keys import ROOT
from orrery.jobs.outage import reply_of
from orrery.jobs.server import BesideJobs
from orrery.worlds.errors import FileNotKnown
from orrery.worlds.plan import ArtifactRef, Frozen

Order = Literal["asc", "desc"]
FORGOTTEN_AT_ONCE = 100
READ_AT_ONCE = 500


class StoredFile(Frozen):
    """One tenant's file. Times are Unix seconds; a file without `expires_at` stays until it is deleted."""

    id: str
    tenant: str
    filename: str
    purpose: str
    content: ArtifactRef
    created_at: float
    expires_at: float | None = None

    def is_over(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class FilePage(Frozen):
    files: tuple[StoredFile, ...]
    has_more: bool


class Files(Protocol):
    """An expired file is as good as deleted, before `forget_expired` too; so is another tenant's."""

    async def put(self, file: StoredFile) -> None:
        """Enters the file; one that is there under its id is replaced and keeps its place in the list."""
        ...

    async def get(self, file_id: str, tenant: str) -> StoredFile:
        """Raises `FileNotKnown`."""
        ...

    async def list(self, tenant: str, *, purpose: str | None, after: str | None, limit: int, order: Order) -> FilePage:
        """The tenant's files by creation; `after` is a file's id. Raises `FileNotKnown` if there is no such file."""
        ...

    async def delete(self, file_id: str, tenant: str) -> StoredFile:
        """Forgets the file; its content is left to the sweeper. Raises `FileNotKnown`."""
        ...

    async def forget_expired(self) -> int:
        """Forgets what is past its `expires_at`; how many there were."""
        ...

    def live_artifacts(self) -> AsyncIterator[str]:
        """Digests that files name; what is entered while the iterator runs may be missing."""
        ...


class MemoryFiles:
    """For one process, for tests, gone with the process. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._files: dict[str, StoredFile] = {}

    async def put(self, file: StoredFile) -> None:
        self._files[file.id] = file

    async def get(self, file_id: str, tenant: str) -> StoredFile:
        return checked(self._files.get(file_id), file_id, tenant, self._clock())

    async def list(self, tenant: str, *, purpose: str | None, after: str | None, limit: int, order: Order) -> FilePage:
        found = [file for file in self._files.values() if file.tenant == tenant and not file.is_over(self._clock())]
        found = found if order == "asc" else found[::-1]
        if after is not None:
            found = found[found.index(await self.get(after, tenant)) + 1 :]
        found = [file for file in found if purpose in (None, file.purpose)]
        return FilePage(files=tuple(found[:limit]), has_more=len(found) > limit)

    async def delete(self, file_id: str, tenant: str) -> StoredFile:
        file = await self.get(file_id, tenant)
        del self._files[file_id]
        return file

    async def forget_expired(self) -> int:
        over = [file.id for file in self._files.values() if file.is_over(self._clock())]
        for file_id in over:
            del self._files[file_id]
        return len(over)

    async def live_artifacts(self) -> AsyncIterator[str]:
        for file in list(self._files.values()):
            yield file.content.digest


def checked(file: StoredFile | None, file_id: str, tenant: str, now: float) -> StoredFile:
    """The file, if it is the tenant's and has not expired. Raises `FileNotKnown`."""
    if file is None or file.tenant != tenant or file.is_over(now):
        raise FileNotKnown(f"there is no file {file_id}")
    return file


KNOWN, EXPIRING, SEQUENCE = (f"{ROOT}:files:{name}" for name in ("known", "expiring", "sequence"))


def _of(tenant: str) -> str:
    return f"{ROOT}:files:of:{tenant}"


PUT = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), ARGV[1])
end
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
"""

PAGE = """
local after, order, limit, purpose, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local command, from, to = 'ZRANGEBYSCORE', '-inf', '+inf'
if order == 'desc' then command, from, to = 'ZREVRANGEBYSCORE', '+inf', '-inf' end
if after ~= '' then from = '(' .. (redis.call('ZSCORE', KEYS[2], after) or to) end
local found = {}
while #found <= limit do
  local ids = redis.call(command, KEYS[2], from, to, 'WITHSCORES', 'LIMIT', 0, 100)
  if #ids == 0 then break end
  for i = 1, #ids, 2 do
    local text = redis.call('HGET', KEYS[1], ids[i])
    local file = cjson.decode(text)
    local over = file.expires_at ~= cjson.null and file.expires_at <= now
    if not over and (purpose == '' or file.purpose == purpose) and #found <= limit then table.insert(found, text) end
  end
  from = '(' .. ids[#ids]
end
return found
"""


class RedisFiles(BesideJobs):
    """Beside the jobs on their server; `client` must decode responses. `clock` gives Unix seconds."""

    def __init__(self, client: Redis, clock: Callable[[], float] = time.time) -> None:
        super().__init__(client)
        self._clock = clock
        self._put = client.register_script(PUT)
        self._page = client.register_script(PAGE)

    async def put(self, file: StoredFile) -> None:
        args = [file.id, file.model_dump_json(), "" if file.expires_at is None else str(file.expires_at)]
        await reply_of(self._put(keys=[KNOWN, _of(file.tenant), EXPIRING, SEQUENCE], args=args))

    async def get(self, file_id: str, tenant: str) -> StoredFile:
        text = await reply_of(self._client.hget(KNOWN, file_id))
        return checked(text and StoredFile.model_validate_json(text), file_id, tenant, self._clock())

    async def list(self, tenant: str, *, purpose: str | None, after: str | None, limit: int, order: Order) -> FilePage:
        if after is not None:
            await self.get(after, tenant)
        args: list[str | float] = [after or "", order, limit, purpose or "", self._clock()]
        found = await reply_of(self._page(keys=[KNOWN, _of(tenant)], args=args))
        return FilePage(files=tuple(map(StoredFile.model_validate_json, found[:limit])), has_more=len(found) > limit)

    async def delete(self, file_id: str, tenant: str) -> StoredFile:
        file = await self.get(file_id, tenant)
        await self._forget(file)
        return file

    async def _forget(self, file: StoredFile) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hdel(KNOWN, file.id)
            pipe.zrem(_of(file.tenant), file.id)
            pipe.zrem(EXPIRING, file.id)
            await reply_of(pipe.execute())

    async def forget_expired(self) -> int:
        count = 0
        while texts := await self._expired():
            for text in texts:
                await self._forget(StoredFile.model_validate_json(text))
                count += 1
        return count

    async def _expired(self) -> Sequence[str]:
        ids = await reply_of(
            self._client.zrange(EXPIRING, "-inf", self._clock(), byscore=True, offset=0, num=FORGOTTEN_AT_ONCE)
        )
        texts = await reply_of(self._client.hmget(KNOWN, ids)) if ids else []
        return [text for text in texts if text is not None]

    async def live_artifacts(self) -> AsyncIterator[str]:
        cursor = None
        while cursor != 0:
            cursor, known = await reply_of(self._client.hscan(KNOWN, cursor or 0, count=READ_AT_ONCE))
            for text in known.values():
                yield StoredFile.model_validate_json(text).content.digest
