"""Who serves several pools of a stage is given their tasks as if they stood in one line, and makes room for all of them."""

from __future__ import annotations

from collections import Counter

import pytest
from redis.asyncio import Redis

from jobs.setting import Setting, completion, single, submission
from orrery.jobs.keys import ROOT
from orrery.jobs.records import Claim, Completion, Priority
from orrery.jobs.redis import RedisJobs
from orrery.jobs.rules import WEIGHTS
from orrery.worlds.plan import Plan, Task

INTERACTIVE, STANDARD, BATCH = Priority
A, B, C = "denoise/small", "denoise/large", "denoise/huge"
BOTH = (A, B)


def plan(pool: str) -> Plan:
    stage, _, component = pool.partition("/")
    return Plan(tasks=(Task(id="task", stage=stage, component=component or None),), result={})


class Line:
    """Submits to pools by number, and takes from several at once."""

    def __init__(self, setting: Setting) -> None:
        self.jobs = setting.jobs
        self.submitted: Counter[str] = Counter()

    async def submit(self, name: str, pool: str, priority: Priority = STANDARD, *, tenant: str = "t", count: int = 1) -> None:
        for _ in range(count):
            job_id = f"{name}-{self.submitted[name]}"
            self.submitted[name] += 1
            await self.jobs.submit(submission(job_id, plan=plan(pool), priority=priority, tenant=tenant))

    async def hold(self, pools: tuple[str, ...] = BOTH, worker: str = "ann") -> Claim:
        claim = await self.jobs.claim(pools, worker, wait=0)
        assert claim is not None
        return claim

    async def finish(self, pools: tuple[str, ...] = BOTH, seconds: float = 1.0) -> str:
        claim = await self.hold(pools)
        done = Completion(outputs=completion(claim).outputs, memo=False, stage_seconds=seconds)
        assert await self.jobs.complete(claim, done) == "owned"
        return claim.job_id.rsplit("-", 1)[0]

    async def take(self, count: int, pools: tuple[str, ...] = BOTH) -> list[str]:
        return [await self.finish(pools) for _ in range(count)]


@pytest.fixture
def line(setting: Setting) -> Line:
    return Line(setting)


async def test_interactive_work_of_the_second_pool_goes_before_batch_work_of_the_first(line: Line) -> None:
    await line.submit("batch", A, BATCH, count=3)
    await line.submit("urgent", B, INTERACTIVE, count=3)
    assert await line.take(4) == ["urgent", "urgent", "urgent", "batch"]


async def test_classes_share_by_weight_over_the_union(line: Line) -> None:
    for pool in BOTH:
        await line.submit("batch", pool, BATCH, count=5)
        await line.submit("standard", pool, STANDARD, count=20)
        await line.submit("interactive", pool, INTERACTIVE, count=80)
    found = await line.take(105)
    for n in range(0, 105, 21):
        assert Counter(found[n : n + 21]) == {"interactive": 16, "standard": 4, "batch": 1}


async def test_classes_share_by_weight_wherever_each_waits(line: Line) -> None:
    await line.submit("interactive", A, INTERACTIVE, count=80)
    await line.submit("standard", B, STANDARD, count=20)
    await line.submit("batch", C, BATCH, count=5)
    assert Counter(await line.take(105, (C, A, B))) == {"interactive": 80, "standard": 20, "batch": 5}


async def test_shares_are_exact_for_everyone_whatever_others_serve(line: Line) -> None:
    """Who serves one pool and who serves both take turns at it, and each sees the weights kept."""
    for pool in BOTH:
        await line.submit("interactive", pool, INTERACTIVE, count=80)
        await line.submit("batch", pool, BATCH, count=10)
    one, both = Counter[str](), Counter[str]()
    for _ in range(34):
        one[await line.finish((A,))] += 1
        both[await line.finish()] += 1
    assert one == both == {"interactive": 32, "batch": 2}


async def test_the_order_of_the_pools_does_not_matter(line: Line) -> None:
    await line.submit("interactive", A, INTERACTIVE, count=40)
    await line.submit("batch", B, BATCH, count=10)
    found = [await line.finish(BOTH if n % 2 else (B, A)) for n in range(34)]
    assert Counter(found) == {"interactive": 32, "batch": 2}


async def test_tenants_take_turns_over_the_union(line: Line) -> None:
    await line.submit("a", A, tenant="a", count=20)
    await line.submit("b", B, tenant="b", count=20)
    for n in range(20):
        await line.submit("c", BOTH[n % 2], tenant="c")
    assert await line.take(60) == ["a", "b", "c"] * 20
    assert await line.jobs.claim(BOTH, "ann", wait=0) is None


async def test_a_tenant_of_two_pools_has_no_more_turns_than_one_of_one(line: Line) -> None:
    for pool in BOTH:
        await line.submit("two", pool, tenant="a", count=20)
    await line.submit("one", B, tenant="b", count=20)
    assert Counter(await line.take(40)) == {"one": 20, "two": 20}


async def test_a_tenant_is_served_in_its_order_over_the_pools(line: Line) -> None:
    for n, pool in enumerate((A, B, B, A, B, A, A)):
        await line.submit(f"job{n}", pool)
    assert await line.take(7) == [f"job{n}" for n in range(7)]


async def test_a_tenant_of_dear_tasks_in_one_pool_has_fewer_turns(line: Line) -> None:
    """Turns are of equal seconds of the stage, whichever pools they are of."""
    await line.submit("cheap", A, tenant="a", count=300)
    await line.submit("dear", B, tenant="b", count=300)
    counts: Counter[str] = Counter()
    for _ in range(300):
        claim = await line.hold()
        dear = claim.task.pool == B
        done = Completion(outputs=completion(claim).outputs, memo=False, stage_seconds=3.0 if dear else 1.0)
        await line.jobs.complete(claim, done)
        counts["dear" if dear else "cheap"] += 1
    assert 2.5 < counts["cheap"] / counts["dear"] < 3.3


async def test_tenants_whom_only_others_serve_keep_their_place(line: Line) -> None:
    await line.submit("a", A, tenant="a", count=4)
    await line.submit("b", B, tenant="b", count=4)
    assert await line.take(3, (A,)) == ["a"] * 3
    assert await line.take(2) == ["b", "a"]
    assert await line.take(3, (B,)) == ["b"] * 3
    assert await line.jobs.claim(BOTH, "ann", wait=0) is None


@pytest.mark.parametrize("priority", Priority)
async def test_steady_load_on_one_pool_does_not_starve_the_other(line: Line, priority: Priority) -> None:
    """However urgent the load is, and however much of it: one turn of all weights, and the other is served."""
    await line.submit("load", A, INTERACTIVE, tenant="a", count=30)
    await line.submit("other", B, priority, tenant="b", count=2)
    found = []
    for _ in range(2 * sum(WEIGHTS.values())):
        found.append(await line.finish())
        await line.submit("load", A, INTERACTIVE, tenant="a")
    assert found.count("other") == 2


async def test_a_steady_tenant_does_not_starve_its_own_other_pool(line: Line) -> None:
    await line.submit("load", A, count=10)
    await line.submit("other", B)
    found = []
    for _ in range(11):
        found.append(await line.finish())
        await line.submit("load", A)
    assert found[-1] == "other"


async def test_what_lapsed_in_any_pool_goes_first(setting: Setting, line: Line) -> None:
    await line.submit("lost", B, BATCH)
    await line.hold()
    await setting.expire()
    await line.submit("urgent", A, INTERACTIVE)
    assert await line.take(2) == ["lost", "urgent"]


async def running(line: Line, name: str, pool: str, worker: str, serves: tuple[str, ...] = ()) -> Claim:
    """A batch task at work."""
    if serves:
        await line.jobs.announce(worker, serves, seconds=60)
    await line.submit(name, pool, BATCH)
    return await line.hold((pool,), worker)


async def test_batch_work_makes_room_for_another_pool_of_its_worker(line: Line) -> None:
    batch = await running(line, "batch", A, "ann", BOTH)
    await line.submit("waiting", A, BATCH)
    await line.submit("urgent", B, INTERACTIVE)
    assert await line.jobs.renew(batch) == "preempted"
    assert await line.jobs.release(batch) == "owned"
    assert await line.take(3) == ["urgent", "batch", "waiting"]
    assert (await line.jobs.get("batch-0")).tasks[0].preemptions == 1


async def test_only_a_worker_that_serves_the_urgent_pool_makes_room(line: Line) -> None:
    apart = await running(line, "apart", A, "ann", (A,))
    silent = await running(line, "silent", A, "bob")
    both = await running(line, "both", A, "cid", (A, B))
    await line.submit("urgent", B, INTERACTIVE)
    assert [await line.jobs.renew(claim) for claim in (apart, silent, both)] == ["owned", "owned", "preempted"]
    await line.submit("urgent", B, INTERACTIVE)
    assert [await line.jobs.renew(claim) for claim in (apart, silent)] == ["owned", "owned"]


async def test_work_of_another_stage_makes_no_room(line: Line) -> None:
    """Another stage of the same worker has hands of its own."""
    await line.jobs.announce("ann", ["encode", A, B], seconds=60)
    await line.jobs.submit(submission("encode-0", plan=single(), priority=BATCH))
    other = await line.hold(("encode",))
    batch = await running(line, "batch", A, "ann")
    await line.submit("urgent", B, INTERACTIVE)
    assert [await line.jobs.renew(claim) for claim in (other, batch)] == ["owned", "preempted"]
    await line.submit("urgent", B, INTERACTIVE, count=3)
    assert await line.jobs.renew(other) == "owned"


async def test_nobody_makes_room_while_a_hand_for_the_urgent_pool_is_free(line: Line) -> None:
    batch = await running(line, "batch", A, "ann", BOTH)
    await line.jobs.announce("bob", [B], seconds=60)
    await line.jobs.announce("cid", [A], seconds=60)
    await line.submit("urgent", B, INTERACTIVE)
    assert await line.jobs.renew(batch) == "owned"
    await line.submit("urgent", B, INTERACTIVE)
    assert await line.jobs.renew(batch) == "preempted"


async def test_each_urgent_task_of_any_pool_displaces_one(line: Line) -> None:
    held = [await running(line, f"batch{n}", BOTH[n % 2], f"w{n}", BOTH) for n in range(4)]
    for count in (1, 2, 3):
        await line.submit("urgent", BOTH[count % 2], INTERACTIVE)
        assert [await line.jobs.renew(claim) for claim in held].count("preempted") == count


async def test_who_was_displaced_least_makes_room_whatever_the_pool(line: Line) -> None:
    often = await running(line, "often", B, "ann", BOTH)
    await line.submit("urgent", B, INTERACTIVE)
    await line.jobs.release(often)
    assert await line.take(1) == ["urgent"]
    often = await line.hold((B,), "ann")
    fresh = await running(line, "fresh", A, "bob", BOTH)
    await line.submit("urgent", B, INTERACTIVE)
    assert [await line.jobs.renew(claim) for claim in (often, fresh)] == ["owned", "preempted"]


async def test_the_turn_that_was_left_goes_to_the_urgent_pool(line: Line) -> None:
    """Another worker of the stage that has no urgent work neither takes that turn nor lets it lapse."""
    batch = await running(line, "batch", A, "ann", BOTH)
    await line.submit("waiting", A, BATCH, count=20)
    await line.submit("urgent", B, INTERACTIVE)
    await line.jobs.release(batch)
    assert await line.take(2, (A,)) == ["batch", "waiting"]
    assert await line.take(2) == ["urgent", "waiting"]


async def test_a_displaced_task_that_ends_otherwise_leaves_no_hand_behind(line: Line) -> None:
    for n in range(2):
        batch = await running(line, f"batch{n}", A, "ann", BOTH)
        await line.submit(f"urgent{n}", B, INTERACTIVE)
        assert await line.jobs.renew(batch) == "preempted"
        await line.jobs.cancel(batch.job_id)
        assert await line.take(1) == [f"urgent{n}"]


async def test_tenants_and_turns_that_are_over_leave_no_key(client: Redis) -> None:
    jobs = RedisJobs(client)
    for n, pool in enumerate((A, B, B, A)):
        await jobs.submit(submission(f"batch-{n}", plan=plan(pool), priority=BATCH, tenant=f"t{n % 3}"))
    await jobs.announce("ann", BOTH, seconds=60)
    held = await jobs.claim(BOTH, "ann", wait=0)
    assert held is not None
    await jobs.submit(submission("urgent", plan=plan(B), priority=INTERACTIVE))
    await jobs.release(held)
    await jobs.cancel("batch-3")
    while claim := await jobs.claim(BOTH, "ann", wait=0):
        await jobs.complete(claim, completion(claim))
    kinds = {name.removeprefix(f"{ROOT}:").split(":")[0] for name in await client.keys()}
    gone = {"queue", "ring", "credit", "place", "seats", "held", "preemptable", "yielding", "coming", "owed", "busy", "turns"}
    assert kinds & gone == set()
    assert "price" in kinds
