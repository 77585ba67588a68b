"""Random interleavings of everything that gateways and workers may do, checked against a small model."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, consumes, initialize, invariant, multiple, rule

from jobs.ledger import MAX_ATTEMPTS, POOLS, Ledger, key
from jobs.setting import completion, diamond, ref, single, submission
from orrery.jobs.records import Claim, Priority, Standing, TaskState
from orrery.worlds.errors import AttemptsExhausted, QueueFull, StageFailed
from orrery.worlds.plan import Plan, Task

BROKEN = StageFailed("the stage broke").to_dict()
LARGE = Plan(tasks=(Task(id="large", stage="denoise", component="large"),), result={})
PLANS = (single(), diamond(), LARGE)


class Walk(Ledger):
    """Rules for everything that may happen."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    @initialize(target=jobs)
    def begin(self) -> MultipleResults[str]:
        """Something of everything, at work and waiting."""
        made = [self.submit(plan, priority, "x") for priority in Priority for plan in PLANS]
        self.states_change_as_allowed()
        return multiple(*map(str, made))

    @rule(
        target=jobs,
        plan=st.sampled_from(PLANS),
        priority=st.sampled_from(Priority),
        tenant=st.sampled_from("xyz"),
    )
    def submit(self, plan: Plan, priority: Priority, tenant: str) -> str | MultipleResults[str]:
        given = submission(f"job-{self.submitted + 1}", plan=plan, priority=priority, tenant=tenant)
        if not self.fits(plan):
            with pytest.raises(QueueFull):
                self.run(self.store.submit(given))
            return multiple()
        self.submitted += 1
        job = self.run(self.store.submit(given))
        self.seen[job.id] = job
        return str(job.id)

    @rule(job_id=jobs)
    def submit_again(self, job_id: str) -> None:
        assert self.run(self.store.submit(submission(job_id))) == self.seen[job_id]

    @rule(
        target=claims,
        pools=st.lists(st.sampled_from(POOLS), min_size=1, max_size=2, unique=True),
        worker=st.sampled_from(["ann", "bob"]),
    )
    def claim(self, pools: list[str], worker: str) -> Claim | MultipleResults[Claim]:
        claim = self.run(self.store.claim(pools, worker, wait=0))
        if claim is None:
            # A claim may end a job whose attempts are used up, and with it what waited.
            self.states_change_as_allowed()
            assert not any(map(self.waiting, pools)), "work was waiting and none was handed out"
            return multiple()
        assert claim.task.pool in pools
        self.check_handed_out(claim)
        self.check_turn(claim, pools)
        self.owners[key(claim)] = claim
        self.lapsed.discard(key(claim))
        return claim

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        if self.write(claim, self.store.renew(claim)):
            self.lapsed.discard(key(claim))

    @rule(claim=claims, step=st.integers(0, 9))
    def progress(self, claim: Claim, step: int) -> None:
        if self.write(claim, self.store.progress(claim, step, 10)):
            task = next(t for t in self.run(self.store.get(claim.job_id)).tasks if t.id == claim.task.id)
            assert (task.step, task.num_steps) == (step, 10)

    @rule(claim=claims, step=st.integers(1, 9))
    def checkpoint(self, claim: Claim, step: int) -> None:
        if self.write(claim, self.store.checkpoint(claim, ref(f"{key(claim)} {step}"), step)):
            self.kept[key(claim)] = step

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
        assert (standing in {Standing.OWNED, Standing.PREEMPTED}) is owned
        if not owned:
            assert self.records() == self.seen
        return owned

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        assert self.run(self.store.cancel(job_id)).state.ended

    @rule(job_id=jobs)
    def requeue(self, job_id: str) -> None:
        before = self.seen[job_id]
        dead = (before.error or {}).get("code") == AttemptsExhausted.code
        assert (job_id in [job.id for job in self.run(self.store.dead(1000))]) is dead
        after = self.run(self.store.requeue(job_id))
        assert (after != before) is dead
        if dead:
            self.revived[job_id] += 1
            self.seen[job_id] = after

    @rule(worker=st.sampled_from(["ann", "bob"]), pools=st.sets(st.sampled_from(POOLS)))
    def announce(self, worker: str, pools: set[str]) -> None:
        self.run(self.store.announce(worker, pools, seconds=60))

    @rule(job_id=jobs)
    def position(self, job_id: str) -> None:
        ahead = self.run(self.store.position(job_id))
        queued = [task for task in self.seen[job_id].tasks if task.state is TaskState.QUEUED]
        assert (ahead is None) is (not queued)
        if queued:
            everyone = [t for job in self.seen.values() for t in job.tasks if t.pool == queued[0].pool]
            assert 0 <= ahead < sum(t.state in {TaskState.QUEUED, TaskState.RUNNING} for t in everyone)

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: str) -> None:
        assert self.run(self.store.delete(job_id)).state.ended
        del self.seen[job_id]
        self.forget(job_id)
        self.done = {done for done in self.done if done[0] != job_id}
        self.kept = {k: step for k, step in self.kept.items() if k[0] != job_id}

    @rule()
    def expire(self) -> None:
        self.run(self.setting.expire())
        self.lapsed = set(self.owners)

    @rule(pool=st.sampled_from(POOLS))
    def kill_workers(self, pool: str) -> None:
        """Whoever takes a task of the pool is gone."""
        for _ in range(MAX_ATTEMPTS):
            self.claim([pool], "cid")
            self.states_change_as_allowed()
            self.expire()

    @invariant()
    def states_change_as_allowed(self) -> None:
        now = self.records()
        assert list(now) == list(self.seen)
        for job_id, job in now.items():
            self.check_change(self.seen[job_id], job)
            if job.state.ended:
                self.forget(job_id)
        self.seen = now
        self.note_who_waits()
        self.check_pools()

    def teardown(self) -> None:
        """Whatever has happened, the work that is left can be finished, and every job has one end."""
        self.run(self.finish_all())
        self.states_end()
