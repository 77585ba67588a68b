"""Random interleavings of everything that gateways and two workers may do, checked against a small model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from jobs.setting import LEASE, POOLS, Clock, Setting, completion, diamond, expire_leases, single, submission
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JOB_TRANSITIONS, TASK_TRANSITIONS, Claim, Event, Job, Standing, TaskState
from orrery.jobs.redis import RedisJobs
from orrery.worlds.errors import StageFailed

MAX_ATTEMPTS = 3
BROKEN = StageFailed("the stage broke").to_dict()
Key = tuple[str, str]


def key(claim: Claim) -> Key:
    return claim.job_id, claim.task.id


class Walk(RuleBasedStateMachine):
    """`owners` holds who may write to which task, by the model; `lapsed` those of them whose lease ran out."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self, setting: Setting, run: Callable[[Coroutine[Any, Any, Any]], Any]):
        super().__init__()
        self.setting = setting
        self.store = setting.jobs
        self.run = run
        self.submitted = 0
        self.seen: dict[str, Job] = {}
        self.owners: dict[Key, Claim] = {}
        self.lapsed: set[Key] = set()
        self.done: set[Key] = set()

    @rule(target=jobs, plan=st.sampled_from([single(), diamond()]))
    def submit(self, plan: Any) -> str:
        self.submitted += 1
        job = self.run(self.store.submit(submission(f"job-{self.submitted}", plan=plan)))
        self.seen[job.id] = job
        return str(job.id)

    @rule(target=claims, pool=st.sampled_from(POOLS), worker=st.sampled_from(["ann", "bob"]))
    def claim(self, pool: str, worker: str) -> Claim | MultipleResults[Claim]:
        claim = self.run(self.store.claim([pool], worker, wait=0))
        if claim is None:
            assert not self.waiting(pool), "work was waiting and none was handed out"
            return multiple()
        self.check_handed_out(claim)
        self.owners[key(claim)] = claim
        self.lapsed.discard(key(claim))
        return claim

    def waiting(self, pool: str) -> bool:
        tasks = [task for job in self.seen.values() for task in job.tasks if task.pool == pool]
        return any(task.state is TaskState.QUEUED for task in tasks)

    def check_handed_out(self, claim: Claim) -> None:
        assert key(claim) not in self.done
        assert key(claim) not in self.owners or key(claim) in self.lapsed
        assert 1 <= claim.attempt <= MAX_ATTEMPTS

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        if self.write(claim, self.store.renew(claim)):
            self.lapsed.discard(key(claim))

    @rule(claim=claims, step=st.integers(0, 9))
    def progress(self, claim: Claim, step: int) -> None:
        if self.write(claim, self.store.progress(claim, step, 10)):
            task = next(t for t in self.run(self.store.get(claim.job_id)).tasks if t.id == claim.task.id)
            assert (task.step, task.num_steps) == (step, 10)

    @rule(claim=claims)
    def complete(self, claim: Claim) -> None:
        if self.write(claim, self.store.complete(claim, completion(claim))):
            assert key(claim) not in self.done
            self.done.add(key(claim))
            del self.owners[key(claim)]

    @rule(claim=claims, retry=st.booleans())
    def fail(self, claim: Claim, retry: bool) -> None:
        if self.write(claim, self.store.fail(claim, BROKEN, retry=retry)):
            del self.owners[key(claim)]
            assert self.run(self.store.get(claim.job_id)).state.ended is not (retry and claim.attempt < MAX_ATTEMPTS)

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        if self.write(claim, self.store.release(claim)):
            del self.owners[key(claim)]

    def write(self, claim: Claim, call: Coroutine[Any, Any, Standing]) -> bool:
        """Whether the write counted, which it must exactly if the claim is the owner's; else nothing may have changed."""
        standing = self.run(call)
        owned = self.owners.get(key(claim)) == claim
        assert (standing is Standing.OWNED) is owned
        if not owned:
            assert self.records() == self.seen
        return owned

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        assert self.run(self.store.cancel(job_id)).state.ended

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: str) -> None:
        assert self.run(self.store.delete(job_id)).state.ended
        del self.seen[job_id]
        self.forget(job_id)
        self.done = {done for done in self.done if done[0] != job_id}

    @rule()
    def expire(self) -> None:
        self.run(self.setting.expire())
        self.lapsed = set(self.owners)

    def forget(self, job_id: str) -> None:
        self.owners = {k: claim for k, claim in self.owners.items() if k[0] != job_id}
        self.lapsed &= set(self.owners)

    def records(self) -> dict[str, Job]:
        page = self.run(self.store.list(after=None, limit=1000, order="asc"))
        return {job.id: job for job in page.jobs}

    @invariant()
    def states_change_as_allowed(self) -> None:
        now = self.records()
        assert list(now) == list(self.seen)
        for job_id, job in now.items():
            self.check_change(self.seen[job_id], job)
            if job.state.ended:
                self.forget(job_id)
        self.seen = now
        self.check_pools()

    def check_change(self, old: Job, new: Job) -> None:
        assert new.state in {old.state, *JOB_TRANSITIONS[old.state]}
        assert not old.state.ended or new == old
        for before, after in zip(old.tasks, new.tasks, strict=True):
            assert after.state in {before.state, *TASK_TRANSITIONS[before.state]}
            if new.state.ended:
                assert not TASK_TRANSITIONS[after.state]

    def check_pools(self) -> None:
        tasks = [task for job in self.seen.values() for task in job.tasks]
        for pool, status in self.run(self.store.pools()).items():
            states = [task.state for task in tasks if task.pool == pool]
            assert status.waiting == states.count(TaskState.QUEUED)
            assert status.running == states.count(TaskState.RUNNING)

    def teardown(self) -> None:
        """Whatever has happened, the work that is left can be finished, and every job has one end."""
        self.run(self.finish_all())
        self.states_end()

    async def finish_all(self) -> None:
        await self.setting.expire()
        for pool in POOLS:
            while claim := await self.store.claim([pool], "ann", wait=0):
                assert await self.store.complete(claim, completion(claim)) == "owned"

    def states_end(self) -> None:
        assert all(job.state.ended for job in self.records().values())
        assert all(status.depth == 0 for status in self.run(self.store.pools()).values())
        ends = [event.job_id for event in self.run(self.history()) if event.type.removeprefix("job.") in ENDINGS]
        assert sorted(ends) == sorted(f"job-{n + 1}" for n in range(self.submitted))

    async def history(self) -> list[Event]:
        await self.store.submit(submission("sentinel"))
        async with aclosing(self.store.events()) as events:
            return [event async for event in until_sentinel(events)]


ENDINGS = {"completed", "failed", "cancelled"}


async def until_sentinel(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    async for event in events:
        if event.job_id == "sentinel":
            return
        yield event


def walk(make: Callable[[], Walk], examples: int) -> None:
    limits = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(make, settings=limits)


def test_walks_in_memory() -> None:
    with asyncio.Runner() as runner:

        def make() -> Walk:
            clock = Clock()

            async def expire() -> None:
                clock.now += LEASE

            return Walk(Setting(MemoryJobs(lease=LEASE, clock=clock), expire, asyncio.sleep), runner.run)

        walk(make, examples=100)


def test_walks_on_redis(server_url: str) -> None:
    with asyncio.Runner() as runner:
        client = Redis.from_url(server_url, decode_responses=True)

        def make() -> Walk:
            runner.run(client.flushall())
            return Walk(Setting(RedisJobs(client, lease=LEASE), lambda: expire_leases(client), asyncio.sleep), runner.run)

        walk(make, examples=50)
        runner.run(client.aclose())
