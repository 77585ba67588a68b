"""What is known of batches: both stores by the same rules."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from jobs.setting import Clock, ref
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.batches.records import (
    BATCH_TRANSITIONS,
    BatchState,
    Facts,
    OpenLine,
    Order,
    Outcome,
    Page,
    Problem,
)
from orrery.jobs.batches.redis import RedisBatches
from orrery.jobs.batches.store import Batches
from orrery.worlds.errors import BatchNotFound

PATHS = {
    BatchState.VALIDATING: (),
    BatchState.FAILED: (BatchState.FAILED,),
    BatchState.IN_PROGRESS: (BatchState.IN_PROGRESS,),
    BatchState.FINALIZING: (BatchState.IN_PROGRESS, BatchState.FINALIZING),
    BatchState.COMPLETED: (BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.COMPLETED),
    BatchState.EXPIRED: (BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.EXPIRED),
    BatchState.CANCELLING: (BatchState.CANCELLING,),
    BatchState.CANCELLED: (BatchState.CANCELLING, BatchState.CANCELLED),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def batches(request: pytest.FixtureRequest, clock: Clock) -> Batches:
    return MemoryBatches(clock) if request.param == "memory" else RedisBatches(request.getfixturevalue("client"), clock)


def order(batch_id: str = "b", **fields: Any) -> Order:
    given = {"tenant": "ann", "endpoint": "/v1/videos", "input_file_id": "file", "input": ref(batch_id)}
    times = {"completion_window": "24h", "created_at": 1000.25, "expires_at": 87400.25}
    return Order(id=batch_id, **(given | times | fields))


async def running(batches: Batches, total: int, batch_id: str = "b", *, failed: int = 0) -> None:
    await batches.create(order(batch_id))
    assert await batches.move(batch_id, BatchState.IN_PROGRESS, Facts(total=total, failed=failed))


async def live(batches: Batches) -> set[str]:
    return {digest async for digest in batches.live_artifacts()}


async def test_a_batch_is_what_was_ordered(batches: Batches) -> None:
    asked = order(metadata={"for": "Würfel"}, output_seconds=3600.0)
    made = await batches.create(asked)
    assert (made.order, made.state, made.moved_at, made.facts, made.begun) == (
        asked,
        "validating",
        {"validating": 1000.25},
        Facts(),
        0,
    )
    assert await batches.get("b", "ann") == made
    assert await batches.create(order(endpoint="/v1/other")) == made
    with pytest.raises(BatchNotFound):
        await batches.get("b", "bob")
    with pytest.raises(BatchNotFound):
        await batches.get("c", "ann")


async def test_batches_are_listed_from_the_latest(batches: Batches) -> None:
    for name in "abcd":
        await batches.create(order(name, tenant="bob" if name == "c" else "ann"))
    page = await batches.list("ann", after=None, limit=2)
    assert ([batch.id for batch in page.batches], page.has_more) == (["d", "b"], True)
    page = await batches.list("ann", after="b", limit=2)
    assert ([batch.id for batch in page.batches], page.has_more) == (["a"], False)
    with pytest.raises(BatchNotFound):
        await batches.list("ann", after="c", limit=2)


@pytest.mark.parametrize(("state", "target"), list(itertools.product(BatchState, BatchState)))
async def test_a_batch_moves_along_the_table_and_nowhere_else(
    batches: Batches, clock: Clock, state: BatchState, target: BatchState
) -> None:
    await batches.create(order())
    for step in PATHS[state]:
        assert await batches.move("b", step)
    before = await batches.get("b", "ann")
    clock.now += 5
    moved = await batches.move("b", target, Facts(total=7, errors=(Problem(code="x", message="ü", line=3),)))
    after = await batches.get("b", "ann")
    assert moved == (target in BATCH_TRANSITIONS[state])
    if not moved:
        assert after == before
    else:
        assert (after.state, after.moved_at[target], after.facts.total) == (target, clock.now, 7)
        assert after.facts.errors == (Problem(code="x", message="ü", line=3),)


async def test_moving_without_facts_keeps_them(batches: Batches) -> None:
    await running(batches, 4, failed=1)
    assert await batches.move("b", BatchState.FINALIZING)
    facts = Facts(total=4, completed=3, failed=1, output_file_id="out", error_file_id="err")
    assert await batches.move("b", BatchState.COMPLETED, facts)
    assert (await batches.get("b", "ann")).facts == facts
    assert not await batches.move("unknown", BatchState.FAILED)


async def test_a_batch_is_lent_to_one_at_a_time_and_comes_back_from_the_dead(batches: Batches, clock: Clock) -> None:
    await batches.create(order("a"))
    clock.now += 1
    await batches.create(order("b"))
    taken = [await batches.take(10) for _ in range(3)]
    assert [batch and batch.id for batch in taken] == ["a", "b", None]
    clock.now += 9
    await batches.put_off(await batches.get("b", "ann"), 5)
    assert await batches.take(10) is None
    clock.now += 1
    back = await batches.take(10)
    assert back is not None
    assert back.id == "a"


async def test_a_batch_that_moves_is_due_at_once_until_it_ends(batches: Batches) -> None:
    await batches.create(order())
    for state, due in ((BatchState.CANCELLING, True), (BatchState.CANCELLED, False)):
        before = await batches.take(10) or await batches.get("b", "ann")
        await batches.move("b", state)
        await batches.put_off(before, 5)
        assert (await batches.take(10) is not None) == due
    await batches.put_off(await batches.get("b", "ann"), -5)
    assert await batches.take(10) is None


async def test_lines_are_begun_in_order_and_within_bounds(batches: Batches) -> None:
    await batches.create(order())
    assert await batches.begin("b", most=5, most_open=5) == []
    refused = [Outcome(line=n, status=422, error={"code": "invalid_field"}) for n in (2, 3, 7)]
    assert await batches.keep("b", Page(first=1, count=7, content=ref("page")), refused)
    await batches.move("b", BatchState.IN_PROGRESS, Facts(total=7, failed=3))
    assert not await batches.keep("b", Page(first=8, count=1, content=ref("late")), [])
    assert list(await batches.begin("b", most=2, most_open=3)) == [1, 4]
    assert list(await batches.begin("b", most=2, most_open=3)) == [5]
    assert list(await batches.begin("b", most=2, most_open=3)) == []
    await batches.settle("b", [Outcome(line=4, ok=True, jobs=1)])
    assert list(await batches.begin("b", most=2, most_open=3)) == [6]
    assert list(await batches.begin("b", most=2, most_open=9)) == []
    batch = await batches.get("b", "ann")
    assert (batch.begun, batch.facts.completed, batch.facts.failed) == (7, 1, 3)


async def test_a_line_is_settled_and_counted_once(batches: Batches) -> None:
    await running(batches, 3)
    await batches.begin("b", most=2, most_open=2)
    assert await batches.submitted("b", OpenLine(line=1, jobs=2))
    assert list(await batches.open_lines("b")) == [OpenLine(line=1, jobs=2), OpenLine(line=2)]
    first = Outcome(line=1, ok=True, jobs=2)
    for outcome in (first, Outcome(line=1, status=500), Outcome(line=3, ok=True)):
        await batches.settle("b", [outcome])
    await batches.submitted("b", OpenLine(line=1, jobs=2))
    assert await batches.outcomes("b", [1, 2, 3]) == {1: first}
    assert list(await batches.open_lines("b")) == [OpenLine(line=2)]
    assert (await batches.get("b", "ann")).facts == Facts(total=3, completed=1)
    assert await batches.outcomes("b", []) == {}


async def test_a_batch_that_is_cancelled_begins_nothing_and_says_so(batches: Batches) -> None:
    await running(batches, 3)
    await batches.begin("b", most=1, most_open=2)
    await batches.move("b", BatchState.CANCELLING)
    assert list(await batches.begin("b", most=1, most_open=2)) == []
    assert not await batches.submitted("b", OpenLine(line=1, jobs=1))
    assert list(await batches.open_lines("b")) == [OpenLine(line=1, jobs=1)]


async def test_pages_come_in_order(batches: Batches) -> None:
    await batches.create(order())
    pages = [Page(first=first, count=9, content=ref(str(first))) for first in (1, 10, 100)]
    for page in (pages[2], pages[0], pages[1], pages[2]):
        await batches.keep("b", page, [])
    assert list(await batches.pages("b")) == pages


async def test_what_a_batch_needs_is_live_until_it_ends(batches: Batches) -> None:
    await batches.create(order())
    await batches.keep("b", Page(first=1, count=1, content=ref("page")), [])
    assert await live(batches) == {ref("b").digest, ref("page").digest}
    await batches.move("b", BatchState.CANCELLING)
    await batches.move("b", BatchState.CANCELLED)
    assert await live(batches) == set()


async def test_ended_batches_are_forgotten_in_time(batches: Batches, clock: Clock) -> None:
    for name in "ab":
        await batches.create(order(name))
    await batches.move("a", BatchState.FAILED)
    clock.now += 100
    assert await batches.forget_ended(101) == 0
    assert (await batches.forget_ended(100), await batches.forget_ended(100)) == (1, 0)
    assert [batch.id for batch in (await batches.list("ann", after=None, limit=9)).batches] == ["b"]


async def test_every_key_of_a_batch_goes_with_it(client: Any, clock: Clock) -> None:
    batches = RedisBatches(client, clock)
    await running(batches, 2)
    await batches.begin("b", most=2, most_open=2)
    await batches.settle("b", [Outcome(line=1, ok=True, jobs=1)])
    for state in (BatchState.FINALIZING, BatchState.COMPLETED):
        await batches.move("b", state)
    await batches.forget_ended(0)
    assert await client.keys("*") == ["{orrery}:batches:sequence"]
