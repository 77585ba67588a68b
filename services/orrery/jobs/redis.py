"""The job store on Redis (or Valkey): one Lua script per state change.

Events and signals are streams, for they are followed, and from the past. So is the bell of each pool, a stream of one entry:
a claim that finds nothing is told the last ring and waits for a later one, so that no ring is missed, none has to be handed
back, and a worker that dies while it waits takes nothing with it. The waiting tasks are no stream: their order is made anew at
every claim, from weights, credits and tickets, and a stream has one order for ever. They are sorted sets by class and tenant,
those that somebody holds a sorted set by the end of the lease, and every transition touches a few entries of them however many
there are.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal, Self, Unpack

from redis.asyncio import Redis

from orrery.jobs import entering, keys, wire
from orrery.jobs.answers import (
    PREVIEW_SECONDS,
    check_preview,
    exhausted,
    missing_output,
    no_such_job,
    progress_data,
)
from orrery.jobs.fanout import Fanout
from orrery.jobs.looks import Look, Looks
from orrery.jobs.outage import outages_named
from orrery.jobs.reads import Reads
from orrery.jobs.records import (
    INCIDENTS,
    Claim,
    Completion,
    Event,
    Incidents,
    Job,
    JobPage,
    JobState,
    PoolStatus,
    Preview,
    ServiceRate,
    Signal,
    Standing,
    Submission,
)
from orrery.jobs.rules import Rules, Terms
from orrery.jobs.scripts import Scripts
from orrery.jobs.server import client_of, close
from orrery.worlds.errors import StoreUnavailable
from orrery.worlds.plan import ArtifactRef

ARTIFACTS_AT_ONCE = 100
Args = str | int | float


class RedisJobs:
    """Implements `JobStore`, `TaskQueue` and `Pools`.

    `client` must decode responses. For `terms` see `Rules`. About `events_kept` events can be followed from the past.
    """

    def __init__(self, client: Redis, *, events_kept: int = 50_000, **terms: Unpack[Terms]):
        if not client.connection_pool.connection_kwargs.get("decode_responses"):
            raise ValueError("RedisJobs needs a client made with decode_responses=True")
        self._client = client
        self._rules = Rules(**terms)
        self._run = Scripts(client, events_kept=events_kept)
        self._reads = Reads(client)
        self._looks = Looks(self._run)
        self._fanout = Fanout(self._reads, self._state)

    @classmethod
    def connect(cls, url: str, *, events_kept: int = 50_000, **terms: Unpack[Terms]) -> Self:
        """A store with a client of its own, for the URLs of `client_of`; nothing is sent before the first call.

        The first call raises `UnsupportedServer` if the server is too old.
        """
        return cls(client_of(url), events_kept=events_kept, **terms)

    async def aclose(self) -> None:
        """Closes the client."""
        await close(self._client)

    async def submit(self, submission: Submission) -> Job:
        """As the protocol says; submitting an id again gives the job that is there."""
        return (await self._submit(submission, placed=False))[0]

    async def enter(self, submission: Submission) -> tuple[Job, int | None]:
        return await self._submit(submission, placed=True)

    async def _submit(self, submission: Submission, *, placed: bool) -> Look:
        args = entering.args(submission, self._rules, placed=placed)
        return entering.look_of(submission, await self._run("submit", *args))

    async def get(self, job_id: str) -> Job:
        return self._found(job_id, await self._run("get", job_id))

    async def look(self, job_id: str) -> tuple[Job, int | None]:
        return await self._looks.look(job_id)

    async def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        async with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(keys.job(job_id), "state")
            with outages_named():
                found = await pipe.execute()
        return {job_id: JobState(state) for job_id, state in zip(job_ids, found, strict=True) if state is not None}

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"], tenant: str | None = None) -> JobPage:
        reply = await self._run("page", after or "", order, limit, tenant or "")
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

    async def events(self, *, job_id: str | None = None, after: str | None = "0") -> AsyncGenerator[Event, None]:
        """As the protocol says. Raises `JobNotFound`; of a job that is deleted meanwhile the iterator just stops."""
        if after is None:
            after = await self._reads.last_id(keys.EVENTS)
        followed = self._fanout.of_all(after) if job_id is None else self._fanout.of_one(job_id, after)
        async with aclosing(followed) as entries:
            async for entry in entries:
                yield wire.event(entry)

    async def _state(self, job_id: str) -> JobState | None:
        with outages_named():
            state: Any = await self._client.hget(keys.job(job_id), "state")
        return None if state is None else JobState(state)

    async def position(self, job_id: str) -> int | None:
        ahead = await self._run("position", job_id)
        if ahead is None:
            raise no_such_job(job_id)
        return None if ahead < 0 else int(ahead)

    async def preview(self, job_id: str) -> Preview | None:
        with outages_named():
            fields: Any = await self._client.hgetall(keys.preview(job_id))
        return wire.preview(fields) if fields else None

    async def dead(self, limit: int) -> Sequence[Job]:
        return [wire.job(snapshot) for snapshot in await self._run("dead", limit)]

    async def requeue(self, job_id: str) -> Job:
        return self._found(job_id, await self._run("requeue", job_id))

    async def expired(self, limit: int) -> Sequence[str]:
        return list(await self._run("expired", limit))

    async def live_artifacts(self) -> AsyncIterator[str]:
        after = "0"
        while after is not None:
            after, tasks = await self._run("artifacts", after, ARTIFACTS_AT_ONCE)
            for task in tasks:
                for digest in wire.digests(*task):
                    yield digest

    async def claim(self, pools: Sequence[str], worker: str, *, wait: float) -> Claim | None:
        """As the protocol says. A claim that is given up while it is answered takes nothing with it."""
        deadline = time.monotonic() + wait
        while True:
            taking = asyncio.create_task(self._take(pools, worker))
            try:
                found, rings, patience = await asyncio.shield(taking)
            except asyncio.CancelledError:
                await self._give_back(taking)
                raise
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            await self._reads.await_any(rings, wait=min(left, patience))

    async def _take(self, pools: Sequence[str], worker: str) -> tuple[Claim | None, dict[str, str], float]:
        """A claim, or the last rings of the pools' bells and the seconds until a lease may run out."""
        token = secrets.token_hex(16)
        rules = self._rules
        errors = json.dumps({pool: json.dumps(exhausted(pool, rules.max_attempts)) for pool in pools})
        args = (json.dumps(list(pools)), worker, token, rules.lease, rules.max_attempts, errors)
        found, *rest = await self._run("take", *args)
        if found:
            return wire.claim(rest[0], worker=worker, token=token), {}, 0.0
        patience, rings = rest
        return None, dict(zip(map(keys.bell, pools), rings, strict=True)), max(float(patience or "inf"), 0.001)

    async def _give_back(self, taking: asyncio.Task[tuple[Claim | None, dict[str, str], float]]) -> None:
        # Without an answer the lease will do it.
        with suppress(StoreUnavailable):
            found, *_ = await taking
            if found:
                await self.release(found)

    async def renew(self, claim: Claim) -> Standing:
        return await self._write("renew", claim, self._rules.lease)

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing:
        data = json.dumps(progress_data(claim, step, num_steps))
        return await self._write("progress", claim, step, num_steps, data)

    async def show(self, claim: Claim, preview: Preview) -> Standing:
        check_preview(preview)
        return await self._write("show", claim, *wire.preview_args(preview), math.ceil(PREVIEW_SECONDS))

    async def checkpoint(self, claim: Claim, ref: ArtifactRef, step: int) -> Standing:
        return await self._write("checkpoint", claim, ref.model_dump_json(), step)

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        """As the protocol says. Raises `StageFailed`, and writes nothing, if an output that the plan reads is missing."""
        outputs = wire.Refs.dump_json(completion.outputs).decode()
        fields = (outputs, int(completion.memo), completion.stage_seconds)
        standing, *missing = await self._run("complete", *_proof(claim), *fields)
        if missing:
            raise missing_output(claim, missing[0])
        return Standing(standing)

    async def fail(self, claim: Claim, error: dict[str, object], *, retry: bool) -> Standing:
        attempts = self._rules.max_attempts
        last = exhausted(claim.task.pool, attempts, error.get("message"))
        return await self._write("fail", claim, json.dumps(error), int(retry), attempts, json.dumps(last))

    async def release(self, claim: Claim) -> Standing:
        """As the protocol says; the task goes before all others of its tenant."""
        return await self._write("release", claim)

    async def _write(self, script: str, claim: Claim, *args: Args) -> Standing:
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

    async def rates(self) -> dict[str, ServiceRate]:
        served, pace = [wire.pairs(flat) for flat in await self._run("rates")]
        return {pool: ServiceRate(completed=int(served[pool]), seconds=float(pace[pool])) for pool in sorted(served)}

    async def incidents(self) -> Incidents:
        return wire.incidents(*await self._run("incidents", *INCIDENTS))

    async def signals(self) -> AsyncGenerator[Signal, None]:
        """What running work is told, since the first item was asked for: of jobs that ended while somebody was at work on
        them, or were cancelled, and of tasks that are to be handed back.
        """
        start = await self._reads.last_id(keys.SIGNALS)
        async with aclosing(self._reads.follow(keys.SIGNALS, start)) as entries:
            async for _, fields in entries:
                yield wire.signal(fields)


def _proof(claim: Claim) -> tuple[str, str, str, str]:
    return claim.job_id, claim.task.id, claim.worker, claim.token
