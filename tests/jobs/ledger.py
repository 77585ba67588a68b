"""What a walk over a job store expects of it: a small model of every job, and the checks against it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from jobs import setting as settings
from jobs.setting import LEASE, Setting, completion, ref, submission
from orrery.jobs.records import JOB_TRANSITIONS, TASK_TRANSITIONS, Claim, Event, Job, TaskState
from orrery.jobs.rules import WEIGHTS, Terms
from orrery.worlds.plan import Plan

MAX_ATTEMPTS = 3
MOST_WAITING = 12
POOLS = (*settings.POOLS, "denoise/large")
PATIENCE = sum(WEIGHTS.values()) * MOST_WAITING * len(POOLS) * 2
NOT_STARTED = {TaskState.WAITING, TaskState.QUEUED}
TERMS: Terms = {"lease": LEASE, "max_waiting_per_pool": MOST_WAITING}
ENDINGS = {"completed", "failed", "cancelled"}
Key = tuple[str, str]


def key(claim: Claim) -> Key:
    return claim.job_id, claim.task.id


class Ledger(RuleBasedStateMachine):
    """`owners` holds who may write to which task, by the model; `lapsed` those of them whose lease ran out."""

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
        self.kept: dict[Key, int] = {}
        self.passed: dict[tuple[str, str, str], int] = {}
        self.revived: Counter[str] = Counter()

    def fits(self, plan: Plan) -> bool:
        more = Counter(task.pool for task in plan.tasks)
        owed = Counter(task.pool for job in self.seen.values() for task in job.tasks if task.state in NOT_STARTED)
        return all(owed[pool] + n <= MOST_WAITING for pool, n in more.items())

    def waiting(self, pool: str) -> bool:
        tasks = [task for job in self.seen.values() for task in job.tasks if task.pool == pool]
        return any(task.state is TaskState.QUEUED for task in tasks)

    def check_handed_out(self, claim: Claim) -> None:
        assert key(claim) not in self.done
        assert key(claim) not in self.owners or key(claim) in self.lapsed
        assert 1 <= claim.attempt <= MAX_ATTEMPTS
        step = self.kept.get(key(claim), 0)
        assert (claim.checkpoint_step, claim.checkpoint) == (step, ref(f"{key(claim)} {step}") if step else None)

    def check_turn(self, claim: Claim, pools: list[str]) -> None:
        """Nobody in the pools that were asked is passed over for longer than the weights and turns may take."""
        ahead = [k for k in self.passed if k[0] in pools]
        for k in ahead:
            self.passed[k] += 1
            assert self.passed[k] <= PATIENCE
        self.passed.pop((claim.task.pool, *key(claim)), None)

    def forget(self, job_id: str) -> None:
        self.owners = {k: claim for k, claim in self.owners.items() if k[0] != job_id}
        self.lapsed &= set(self.owners)

    def records(self) -> dict[str, Job]:
        page = self.run(self.store.list(after=None, limit=1000, order="asc"))
        return {job.id: job for job in page.jobs}

    def note_who_waits(self) -> None:
        rows = [(job, task) for job in self.seen.values() for task in job.tasks if task.state is TaskState.QUEUED]
        names = [(task.pool, job.id, task.id) for job, task in rows]
        self.passed = {name: self.passed.get(name, 0) for name in names}

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

    async def finish_all(self) -> None:
        await self.setting.expire()
        for pool in POOLS:
            while claim := await self.store.claim([pool], "ann", wait=0):
                assert await self.store.complete(claim, completion(claim)) == "owned"

    def states_end(self) -> None:
        assert all(job.state.ended for job in self.records().values())
        assert all(status.depth == 0 for status in self.run(self.store.pools()).values())
        ends = [event.job_id for event in self.run(self.history()) if event.type.removeprefix("job.") in ENDINGS]
        once = Counter(f"job-{n + 1}" for n in range(self.submitted))
        assert Counter(ends) == once + self.revived

    async def history(self) -> list[Event]:
        await self.store.submit(submission("sentinel"))
        async with asyncio.timeout(20), aclosing(self.store.events()) as events:
            return [event async for event in until_sentinel(events)]


async def until_sentinel(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    async for event in events:
        if event.job_id == "sentinel":
            return
        yield event
