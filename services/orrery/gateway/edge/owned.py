"""The job store as the caller may see it: the one place that keeps tenants apart and holds keys to their quotas."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Literal, cast

from orrery.gateway.edge.callers import caller, require_admin, restricted
from orrery.gateway.edge.errors import Forbidden, QuotaExceeded
from orrery.gateway.edge.keys import Key
from orrery.gateway.forecast import GatewayJobs
from orrery.jobs.quotas import Quotas, UsedUp
from orrery.jobs.records import Event, Incidents, Job, JobPage, JobState, PoolStatus, Preview, ServiceRate, Signal, Submission
from orrery.worlds.errors import JobNotFound, OrreryError

log = logging.getLogger(__name__)

TENANTS_KEPT = 10_000
ARRIVING_SECONDS = 60.0
"""So long a job that was counted may not be there yet: another request is about to submit it."""

Enter = Callable[[Submission], Awaitable[tuple[Job, int | None]]]

ANYONE = "default"
"""The tenant of a submission that names none."""


class OwnedJobs:
    """A `GatewayJobs`. For a restricted caller jobs of other tenants are not there. Without a caller it is the store."""

    def __init__(self, jobs: GatewayJobs, quotas: Quotas, *, log_prompts: bool = False) -> None:
        self._jobs = jobs
        self._log_prompts = log_prompts
        self._quotas = quotas
        self._tenants: OrderedDict[str, str | None] = OrderedDict()

    async def submit(self, submission: Submission) -> Job:
        """As the protocol says. Raises `Forbidden` for another tenant or a model that the key is not for, `QuotaExceeded`."""
        return (await self._admitted(submission, self._unplaced))[0]

    async def enter(self, submission: Submission) -> tuple[Job, int | None]:
        """As the protocol says. Raises as `submit`."""
        return await self._admitted(submission, self._jobs.enter)

    async def _unplaced(self, submission: Submission) -> tuple[Job, int | None]:
        return await self._jobs.submit(submission), None

    async def _admitted(self, submission: Submission, enter: Enter) -> tuple[Job, int | None]:
        if self._log_prompts:
            log.info(
                "prompt of %s", submission.job_id, extra={"job": submission.job_id, "prompt": submission.request["prompt"]}
            )
        key = caller()
        if key is None:
            return await enter(submission)
        if submission.tenant not in (key.tenant, ANYONE):
            raise Forbidden("the key is another tenant's", field="tenant", allowed=[key.tenant])
        if key.models is not None and submission.model not in key.models:
            raise Forbidden("the key is not for this model", field="model", allowed=list(key.models))
        return await self._within_quota(key, submission.model_copy(update={"tenant": key.tenant}), enter)

    async def _within_quota(self, key: Key, submission: Submission, enter: Enter) -> tuple[Job, int | None]:
        quota = key.quota
        if quota.jobs is None and quota.concurrent is None and quota.device_seconds is None:
            return await enter(submission)
        used_up = await self._reserve(key, submission.job_id)
        if used_up is not None:
            message = f"the key's quota of {used_up.name} is used up"
            raise QuotaExceeded(message, retry_after=used_up.retry_after, allowed=f"{getattr(quota, used_up.name):g}")
        try:
            job, position = await enter(submission)
        except OrreryError:
            await self._quotas.release(key.id, submission.job_id, quota)
            raise
        if job.id != submission.job_id:  # it was there before under the same idempotency key
            await self._quotas.release(key.id, submission.job_id, quota)
        return job, position

    async def _reserve(self, key: Key, job_id: str) -> UsedUp | None:
        """Looks at what has ended only where that can decide."""
        if key.quota.device_seconds is not None:
            await self._settle_ended(key)
        used_up = await self._quotas.reserve(key.id, job_id, key.quota)
        if used_up is None or used_up.name != "concurrent":
            return used_up
        await self._settle_ended(key)
        return await self._quotas.reserve(key.id, job_id, key.quota)

    async def _settle_ended(self, key: Key) -> None:
        live = await self._quotas.live(key.id)
        states = await self._jobs.states(list(live))
        for job_id, seconds_ago in live.items():
            if job_id not in states and seconds_ago < ARRIVING_SECONDS:
                continue
            if job_id not in states:  # deleted
                await self._quotas.settle(key.id, job_id, 0.0, key.quota)
            elif states[job_id].ended:
                await self._quotas.settle(key.id, job_id, await self._seconds(job_id), key.quota)

    async def _seconds(self, job_id: str) -> float:
        try:
            return device_seconds(await self._jobs.get(job_id))
        except JobNotFound:  # deleted since
            return 0.0

    async def get(self, job_id: str) -> Job:
        key = restricted()
        job = await self._jobs.get(job_id)
        if key is not None and job.tenant != key.tenant:
            raise JobNotFound(f"there is no job {job_id}")
        return job

    async def look(self, job_id: str) -> tuple[Job, int | None]:
        key = restricted()
        job, position = await self._jobs.look(job_id)
        if key is not None and job.tenant != key.tenant:
            raise JobNotFound(f"there is no job {job_id}")
        return job, position

    async def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        key = restricted()
        asked = job_ids if key is None else [job_id for job_id in job_ids if await self._tenant_of(job_id) == key.tenant]
        return await self._jobs.states(asked)

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"], tenant: str | None = None) -> JobPage:
        key = restricted()
        return await self._jobs.list(after=after, limit=limit, order=order, tenant=tenant if key is None else key.tenant)

    async def cancel(self, job_id: str) -> Job:
        await self._check(job_id)
        return await self._jobs.cancel(job_id)

    async def delete(self, job_id: str) -> Job:
        await self._check(job_id)
        job, key = await self._jobs.delete(job_id), caller()
        if key is not None:
            await self._quotas.settle(key.id, job_id, device_seconds(job), key.quota)
        return job

    async def position(self, job_id: str) -> int | None:
        await self._check(job_id)
        return await self._jobs.position(job_id)

    async def preview(self, job_id: str) -> Preview | None:
        await self._check(job_id)
        return await self._jobs.preview(job_id)

    async def _check(self, job_id: str) -> None:
        if restricted() is not None:
            await self.get(job_id)

    async def dead(self, limit: int) -> Sequence[Job]:
        """As the protocol says. Raises `Forbidden`, as `requeue` and what only the dispatcher asks."""
        require_admin()
        return await self._jobs.dead(limit)

    async def requeue(self, job_id: str) -> Job:
        require_admin()
        return await self._jobs.requeue(job_id)

    async def expired(self, limit: int) -> Sequence[str]:
        require_admin()
        return await self._jobs.expired(limit)

    def live_artifacts(self) -> AsyncIterator[str]:
        require_admin()
        return self._jobs.live_artifacts()

    async def events(self, *, job_id: str | None = None, after: str | None = "0") -> AsyncGenerator[Event, None]:
        """As the protocol says; a restricted caller hears of its own jobs only."""
        key = restricted()
        if job_id is not None:
            await self._check(job_id)
        followed = cast(AsyncGenerator[Event, None], self._jobs.events(job_id=job_id, after=after))
        async with aclosing(followed):
            async for event in followed:
                if key is None or job_id is not None or await self._tenant_of(event.job_id) == key.tenant:
                    yield event

    async def _tenant_of(self, job_id: str) -> str | None:
        """None of a job that was deleted before anybody asked."""
        if job_id not in self._tenants:
            try:
                self._tenants[job_id] = (await self._jobs.get(job_id)).tenant
            except JobNotFound:
                self._tenants[job_id] = None
            if len(self._tenants) > TENANTS_KEPT:
                self._tenants.popitem(last=False)
        return self._tenants.get(job_id)

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        require_admin()
        await self._jobs.announce(worker, pools, seconds=seconds)

    async def pools(self) -> dict[str, PoolStatus]:
        return await self._jobs.pools()

    async def rates(self) -> dict[str, ServiceRate]:
        return await self._jobs.rates()

    async def incidents(self) -> Incidents:
        return await self._jobs.incidents()

    def signals(self) -> AsyncIterator[Signal]:
        require_admin()
        return self._jobs.signals()


def device_seconds(job: Job) -> float:
    """What the job's stages computed, all together."""
    return sum(task.stage_seconds or 0.0 for task in job.tasks)
