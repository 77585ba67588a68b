"""What a store accepts: bounds, idempotency keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from jobs.setting import Clock, Jobs, Setting, completion, diamond, expire_leases, ref, single, submission
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Idempotency, Submission
from orrery.jobs.redis import RedisJobs
from orrery.worlds.errors import IdempotencyConflict, JobNotFound, QueueFull, StageFailed
from orrery.worlds.plan import Plan

Make = Callable[..., Setting]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes each store in turn, with terms of its own."""

    def memory(**terms: Any) -> Setting:
        clock = Clock()

        async def wait(seconds: float) -> None:
            clock.now += seconds

        return Setting(MemoryJobs(clock=clock, **terms), expire=lambda: wait(terms.get("lease", 15)), wait=wait)

    if request.param == "memory":
        return memory
    client: Redis = request.getfixturevalue("client")
    return lambda **terms: Setting(RedisJobs(client, **terms), lambda: expire_leases(client), asyncio.sleep)


def named(key: str, job_id: str, body: str = "body", **fields: Any) -> Submission:
    return submission(job_id, idempotency=Idempotency(key=key, body_digest=body), **fields)


async def refused(jobs: Jobs, given: Submission) -> QueueFull:
    with pytest.raises(QueueFull) as caught:
        await jobs.submit(given)
    with pytest.raises(JobNotFound):
        await jobs.get(given.job_id)
    return caught.value


async def test_a_full_pool_refuses_and_has_room_again(make: Make) -> None:
    setting = make(max_waiting_per_pool=3)
    for n in range(3):
        await setting.jobs.submit(submission(f"job-{n}"))
    before = await setting.jobs.pools()
    error = await refused(setting.jobs, submission("more"))
    assert (error.http_status, error.grpc_code, error.code) == (429, "RESOURCE_EXHAUSTED", "queue_full")
    assert await setting.jobs.pools() == before
    await setting.jobs.submit(submission("elsewhere", plan=single("decode")))
    await setting.claim()
    await setting.jobs.submit(submission("more"))
    await refused(setting.jobs, submission("too many"))
    await setting.jobs.cancel("job-2")
    await setting.jobs.submit(submission("instead"))


async def test_every_pool_of_the_plan_must_have_room(make: Make) -> None:
    """Work that waits for other work counts from the start: it was accepted, and will come."""
    setting = make(max_waiting_per_pool=3)
    await setting.jobs.submit(submission("first", plan=diamond()))
    await refused(setting.jobs, submission("second", plan=diamond()))
    await setting.finish()
    await refused(setting.jobs, submission("second", plan=diamond()))
    await setting.claim("denoise/small")
    await setting.jobs.submit(submission("second", plan=diamond()))


async def test_a_tenant_has_a_bound_of_its_own(make: Make) -> None:
    setting = make(max_waiting_per_tenant=2)
    for n in range(2):
        await setting.jobs.submit(submission(f"ann-{n}", tenant="ann", plan=single(("encode", "decode")[n])))
    await refused(setting.jobs, submission("ann-2", tenant="ann"))
    await setting.jobs.submit(submission("bob-0", tenant="bob"))
    await setting.jobs.delete("ann-1")
    await setting.jobs.submit(submission("ann-2", tenant="ann"))


async def test_nothing_accepted_is_dropped(make: Make) -> None:
    """A full pool takes back what was accepted before: released, tried again, lapsed."""
    setting = make(max_waiting_per_pool=2)
    await setting.jobs.submit(submission("a"))
    await setting.jobs.submit(submission("b"))
    held = [await setting.claim(), await setting.claim(worker="bob")]
    await setting.jobs.submit(submission("c"))
    await setting.jobs.submit(submission("d"))
    await setting.jobs.release(held[0])
    await setting.jobs.fail(held[1], StageFailed("no").to_dict(), retry=True)
    assert (await setting.jobs.pools())["encode"].waiting == 4
    await refused(setting.jobs, submission("e"))
    assert sorted([(await setting.finish()).job_id for _ in range(4)]) == ["a", "b", "c", "d"]
    for n in range(2):
        await setting.jobs.submit(submission(f"next-{n}"))
    await refused(setting.jobs, submission("e"))


async def test_the_wait_that_is_asked_for_follows_the_measured_rate(make: Make) -> None:
    setting = make(max_waiting_per_pool=4)
    for n in range(5):
        await setting.jobs.submit(submission(f"job-{n}"))
        if n == 0:
            claim = await setting.claim()
    assert (await refused(setting.jobs, submission("early"))).retry_after == 10
    await setting.wait(0.3)
    await setting.jobs.complete(claim, completion(claim))
    rate = (await setting.jobs.rates())["encode"]
    assert rate.completed == 1
    assert 0.3 <= rate.seconds < 3
    assert (await refused(setting.jobs, submission("soon"))).retry_after < 10  # which nothing measured would give


async def test_workers_share_the_wait(make: Make) -> None:
    setting = make(max_waiting_per_pool=1, max_waiting_per_tenant=100)
    await setting.jobs.submit(submission("a"))
    two = diamond()
    await setting.jobs.announce("ann", ["encode", "denoise/small"], seconds=60)
    await setting.jobs.announce("bob", ["encode"], seconds=60)
    assert (await refused(setting.jobs, submission("b"))).retry_after == 5
    assert (await refused(setting.jobs, submission("c", plan=two))).retry_after == 5
    assert (await refused(setting.jobs, submission("d", plan=single("encode")))).retry_after == 5


async def test_one_key_and_body_are_one_job(make: Make) -> None:
    setting = make()
    first = await setting.jobs.submit(named("key", "a"))
    again = await setting.jobs.submit(named("key", "b"))
    assert again == first
    with pytest.raises(JobNotFound):
        await setting.jobs.get("b")
    await setting.finish()
    assert (await setting.jobs.submit(named("key", "c"))).result["video"] == ref("a/encode")


async def test_another_body_is_a_conflict(make: Make) -> None:
    setting = make()
    await setting.jobs.submit(named("key", "a"))
    with pytest.raises(IdempotencyConflict) as caught:
        await setting.jobs.submit(named("key", "b", "another body"))
    assert (caught.value.http_status, caught.value.code) == (422, "idempotency_conflict")
    await setting.jobs.submit(named("another key", "b", "another body"))


async def test_keys_are_each_tenants_own(make: Make) -> None:
    setting = make()
    await setting.jobs.submit(named("key", "a", tenant="ann"))
    assert (await setting.jobs.submit(named("key", "b", tenant="bob"))).id == "b"


async def test_the_key_of_a_deleted_job_stays_used(make: Make) -> None:
    setting = make()
    await setting.jobs.submit(named("key", "a"))
    await setting.jobs.delete("a")
    with pytest.raises(IdempotencyConflict, match="job a"):
        await setting.jobs.submit(named("key", "b"))


async def test_a_key_is_forgotten_in_time(make: Make) -> None:
    setting = make(remembered=1)
    await setting.jobs.submit(named("key", "a"))
    await setting.wait(1.1)
    assert (await setting.jobs.submit(named("key", "b", "another body"))).id == "b"


async def test_a_refused_submission_leaves_its_key_free(make: Make) -> None:
    setting = make(max_waiting_per_pool=1)
    await setting.jobs.submit(submission("a"))
    await refused(setting.jobs, named("key", "b"))
    await setting.finish()
    await setting.jobs.submit(named("key", "c", "another body"))


async def test_a_repeated_submission_is_answered_by_a_full_store(make: Make) -> None:
    setting = make(max_waiting_per_pool=1)
    first = await setting.jobs.submit(named("key", "a"))
    assert await setting.jobs.submit(named("key", "b")) == first
    assert await setting.jobs.submit(named("key", "a")) == first


async def test_twenty_at_once_make_one_job(make: Make) -> None:
    setting = make()
    jobs = await asyncio.gather(*(setting.jobs.submit(named("key", f"job-{n}")) for n in range(20)))
    assert len({job.id for job in jobs}) == 1
    assert len((await setting.jobs.list(after=None, limit=30, order="asc")).jobs) == 1
    assert (await setting.jobs.pools())["encode"].waiting == 1


async def test_no_more_than_the_bound_get_in_at_once(make: Make) -> None:
    setting = make(max_waiting_per_pool=7)
    answers = await asyncio.gather(*(setting.jobs.submit(submission(f"job-{n}")) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, QueueFull) for answer in answers) == 13
    assert (await setting.jobs.pools())["encode"].waiting == 7


@pytest.mark.parametrize("plan", [single(), diamond()], ids=["single", "diamond"])
async def test_what_was_entered_is_what_is_kept(make: Make, plan: Plan) -> None:
    setting = make()
    given = {
        "notes": {"input": {"frames": 1, "of": ["a", None]}},
        "tenant": "ann",
        "priority": "interactive",
        "trace": "00-ab-cd-01",
    }
    request = {"prompt": 'ein "Würfel"\n\u2028', "guidance_scale": 7.000000000000001, "size": {"width": 1, "tags": []}}
    for name in ("first", "second"):
        entered, place = await setting.jobs.enter(submission(name, plan, request=request, **given))
        assert (entered, place) == (await setting.jobs.get(name), await setting.jobs.position(name))
    assert place == 1
    assert (await setting.jobs.enter(submission("first", plan)))[0] == await setting.jobs.get("first")
