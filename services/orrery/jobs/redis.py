"""The job store on Redis Streams (or Valkey): one stream and consumer group per pool, one Lua script per state change."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Literal, Self

from redis.asyncio import Redis

from orrery.jobs import keys, wire
from orrery.jobs.answers import exhausted, missing_output, no_such_job, progress_data
from orrery.jobs.outage import outages_named
from orrery.jobs.reads import Entry, Reads
from orrery.jobs.records import Claim, Completion, Event, Job, JobPage, JobState, PoolStatus, Standing, Submission
from orrery.jobs.scripts import Scripts

SKIPPED = "skipped"


class RedisJobs:
    """Implements `JobStore`, `TaskQueue` and `Pools`.

    `client` must decode responses. `lease` is how long a worker may stay silent, in seconds; all processes on one server
    must agree on it. About `events_kept` events can be followed from the past.
    """

    def __init__(self, client: Redis, *, lease: float = 15.0, max_attempts: int = 3, events_kept: int = 50_000):
        if not client.connection_pool.connection_kwargs.get("decode_responses"):
            raise ValueError("RedisJobs needs a client made with decode_responses=True")
        self._client = client
        self._lease = lease
        self._max_attempts = max_attempts
        self._run = Scripts(client, events_kept=events_kept)
        self._reads = Reads(client)

    @classmethod
    def connect(cls, url: str, *, lease: float = 15.0, max_attempts: int = 3, events_kept: int = 50_000) -> Self:
        """A store with a client of its own; nothing is sent before the first call."""
        client = Redis.from_url(url, decode_responses=True, health_check_interval=30)
        return cls(client, lease=lease, max_attempts=max_attempts, events_kept=events_kept)

    async def aclose(self) -> None:
        """Closes the client."""
        await self._client.aclose()

    async def submit(self, submission: Submission) -> Job:
        """As the protocol says; submitting an id again gives the job that is there."""
        return wire.job(await self._run("submit", *wire.submission_args(submission)))

    async def get(self, job_id: str) -> Job:
        return self._found(job_id, await self._run("get", job_id))

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"]) -> JobPage:
        reply = await self._run("page", after or "", order, limit)
        if reply is None:
            raise no_such_job(after)
        more, snapshots = reply
        return JobPage(jobs=tuple(wire.job(snapshot) for snapshot in snapshots), has_more=bool(more))

    async def cancel(self, job_id: str) -> Job:
        return self._found(job_id, await self._run("cancel", job_id))

    async def delete(self, job_id: str) -> Job:
        return self._found(job_id, await self._run("delete", job_id))

    def _found(self, job_id: str, snapshot: Any) -> Job:
        if snapshot is None:
            raise no_such_job(job_id)
        return wire.job(snapshot)

    async def events(self, *, job_id: str | None = None, after: str = "0") -> AsyncGenerator[Event, None]:
        """As the protocol says. Raises `JobNotFound`; of a job that is deleted meanwhile the iterator just stops."""
        followed = self._reads.follow(keys.EVENTS, after) if job_id is None else self._until_end(job_id, after)
        async with aclosing(followed) as entries:
            async for entry in entries:
                yield wire.event(entry)

    async def _until_end(self, job_id: str, after: str) -> AsyncGenerator[Entry, None]:
        if await self._state(job_id) is None:
            raise no_such_job(job_id)
        while True:
            # Asked before the read: what an ended job has to say is then all there.
            state = await self._state(job_id)
            ended = state is None or state.ended
            batch = await self._reads.later(keys.job_events(job_id), after, wait=0 if ended else self._reads.longest)
            for entry in batch:
                yield entry
                after = entry[0]
            if ended and not batch:
                return

    async def _state(self, job_id: str) -> JobState | None:
        with outages_named():
            state: Any = await self._client.hget(keys.job(job_id), "state")
        return None if state is None else JobState(state)

    async def claim(self, pools: Sequence[str], worker: str, *, wait: float) -> Claim | None:
        deadline = time.monotonic() + wait
        while True:
            lapse = wait
            for pool in pools:
                found = await self._take(pool, worker)
                if isinstance(found, Claim):
                    return found
                lapse = min(lapse, found)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            started = await self._await_entry(pools, worker, min(left, lapse))
            if started:
                return started

    async def _take(self, pool: str, worker: str) -> Claim | float:
        """What is there to be claimed, else the seconds until a lease may run out."""
        token = secrets.token_hex(16)
        args = (pool, worker, token, round(self._lease * 1000), self._max_attempts, self._exhausted(pool))
        while (reply := await self._run("take", *args)) == SKIPPED:
            pass
        return reply / 1000 if isinstance(reply, int) else wire.claim(reply, worker=worker, token=token)

    async def _await_entry(self, pools: Sequence[str], worker: str, wait: float) -> Claim | None:
        """What comes to any of the pools. A read of several may bring one of each: all but the first go back at once."""
        streams = {keys.pool_stream(pool): pool for pool in pools}
        claim = None
        for stream, (entry_id, fields) in await self._reads.next_of_group(list(streams), worker, wait=wait):
            if claim is not None:
                await self._run("unread", streams[stream], worker, entry_id)
            else:
                claim = await self._start(streams[stream], worker, entry_id, fields)
        return claim

    async def _start(self, pool: str, worker: str, entry_id: str, fields: dict[str, str]) -> Claim | None:
        token = secrets.token_hex(16)
        args = (pool, worker, token, self._max_attempts, self._exhausted(pool))
        reply = await self._run("start", *args, entry_id, fields["job"], fields["task"])
        return None if reply == SKIPPED else wire.claim(reply, worker=worker, token=token)

    def _exhausted(self, pool: str) -> str:
        return json.dumps(exhausted(pool, self._max_attempts))

    async def renew(self, claim: Claim) -> Standing:
        return await self._write("renew", claim)

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        data = json.dumps(progress_data(claim, step, num_steps))
        return await self._write("progress", claim, step, num_steps, data)

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        """As the protocol says. Raises `StageFailed`, and writes nothing, if an output that the plan reads is missing."""
        outputs = wire.Refs.dump_json(completion.outputs).decode()
        fields = (outputs, int(completion.memo), completion.stage_seconds)
        standing, *missing = await self._run("complete", *_proof(claim), *fields)
        if missing:
            raise missing_output(claim, missing[0])
        return Standing(standing)

    async def fail(self, claim: Claim, error: dict[str, object], *, retry: bool) -> Standing:
        return await self._write("fail", claim, json.dumps(error), int(retry), self._max_attempts)

    async def release(self, claim: Claim) -> Standing:
        """As the protocol says; the task goes before all that wait."""
        return await self._write("release", claim)

    async def _write(self, script: str, claim: Claim, *args: str | float) -> Standing:
        return Standing(await self._run(script, *_proof(claim), *args))

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        await self._run("announce", worker, seconds, json.dumps(sorted(pools)))

    async def pools(self) -> dict[str, PoolStatus]:
        waiting, running, served = await self._run("pools")
        counts = [{pool: int(n) for pool, n in wire.pairs(flat).items()} for flat in (waiting, running)]
        workers = Counter(pool for pools in served for pool in json.loads(pools))
        return {
            pool: PoolStatus(waiting=counts[0].get(pool, 0), running=counts[1].get(pool, 0), workers=workers[pool])
            for pool in sorted({*counts[0], *counts[1], *workers})
        }

    async def cancellations(self) -> AsyncGenerator[str, None]:
        """Ids of jobs that ended with work still running, or were cancelled, since the first item was asked for."""
        start = await self._reads.last_id(keys.CANCELLATIONS)
        async with aclosing(self._reads.follow(keys.CANCELLATIONS, start)) as entries:
            async for _, fields in entries:
                yield fields["job"]


def _proof(claim: Claim) -> tuple[str, str, str, str]:
    return claim.job_id, claim.task.id, claim.worker, claim.token
