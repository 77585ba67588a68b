"""Who comes next: weighted turns of the classes, turns of the tenants, the oldest of a tenant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jobs.setting import Setting, completion, diamond, single, submission
from orrery.jobs.records import Completion, Priority
from orrery.jobs.rules import MOST_CREDIT, TURN

INTERACTIVE, STANDARD, BATCH = Priority


async def submit(setting: Setting, name: str, count: int, priority: Priority = STANDARD, tenant: str = "default") -> None:
    for n in range(count):
        await setting.jobs.submit(submission(f"{name}-{n}", priority=priority, tenant=tenant))


async def claims(setting: Setting, count: int, *, seconds: dict[str, float] | None = None) -> list[str]:
    """The names that the next claims are of, each task done at once; `seconds` is what one costs, by name."""
    found = []
    for _ in range(count):
        claim = await setting.claim()
        name = claim.job_id.rsplit("-", 1)[0]
        done = Completion(outputs=completion(claim).outputs, memo=False, stage_seconds=(seconds or {}).get(name, 1.0))
        assert await setting.jobs.complete(claim, done) == "owned"
        found.append(name)
    return found


def longest_wait(found: Iterable[str], name: str) -> int:
    """The most claims between two of one name."""
    gaps = "".join("x" if each == name else "." for each in found).strip(".").split("x")
    return max(map(len, gaps))


async def test_classes_share_in_the_ratio_of_their_weights(setting: Setting) -> None:
    await submit(setting, "batch", 20, BATCH)
    await submit(setting, "standard", 50, STANDARD)
    await submit(setting, "interactive", 170, INTERACTIVE)
    found = await claims(setting, 210)
    assert Counter(found) == {"interactive": 160, "standard": 40, "batch": 10}
    assert all(Counter(found[n : n + 21])["interactive"] == 16 for n in range(0, 210, 21))
    assert longest_wait(found, "batch") == 20
    assert longest_wait(found, "standard") <= 6


async def test_a_class_alone_has_every_turn(setting: Setting) -> None:
    await submit(setting, "batch", 30, BATCH)
    assert await claims(setting, 30) == ["batch"] * 30
    assert await setting.jobs.claim(["encode"], "ann", wait=0) is None


async def test_two_classes_share_what_the_third_leaves(setting: Setting) -> None:
    await submit(setting, "batch", 30, BATCH)
    await submit(setting, "standard", 90, STANDARD)
    assert Counter(await claims(setting, 100)) == {"standard": 80, "batch": 20}


async def test_tenants_of_a_class_take_turns_whatever_they_submit(setting: Setting) -> None:
    await submit(setting, "many", 150, tenant="a")
    await submit(setting, "few", 20, tenant="b")
    await submit(setting, "some", 40, tenant="c")
    found = await claims(setting, 60)
    assert found == ["many", "few", "some"] * 20
    assert await claims(setting, 40) == ["many", "some"] * 20
    assert await claims(setting, 110) == ["many"] * 110


async def test_a_tenant_that_comes_late_has_its_turn_at_once(setting: Setting) -> None:
    await submit(setting, "early", 50, tenant="a")
    await claims(setting, 10)
    await submit(setting, "late", 1, tenant="b")
    assert "late" in await claims(setting, 2)


async def test_a_tenant_of_dear_tasks_has_fewer_of_them(setting: Setting) -> None:
    """Turns are of equal seconds, not of equal tasks: so about three cheap ones for one dear one."""
    await submit(setting, "cheap", 400, tenant="a")
    await submit(setting, "dear", 400, tenant="b")
    counts = Counter(await claims(setting, 400, seconds={"cheap": 1.0, "dear": 3.0}))
    assert 2.5 < counts["cheap"] / counts["dear"] < 3.3


async def test_tasks_that_cost_nothing_do_not_hold_the_turn(setting: Setting) -> None:
    await submit(setting, "free", 100, tenant="a")
    await submit(setting, "paid", 100, tenant="b")
    found = await claims(setting, 100, seconds={"free": 0.0})
    assert longest_wait(found, "paid") <= (MOST_CREDIT // TURN) ** 2


async def test_a_tenant_is_served_in_order_whatever_is_cancelled(setting: Setting) -> None:
    await submit(setting, "job", 12)
    for n in (0, 3, 4, 11):
        await setting.jobs.cancel(f"job-{n}")
    assert [(await setting.finish()).job_id for _ in range(8)] == [f"job-{n}" for n in (1, 2, 5, 6, 7, 8, 9, 10)]
    assert await setting.jobs.claim(["encode"], "ann", wait=0) is None


async def test_a_class_that_was_emptied_by_cancelling_leaves_no_turn_behind(setting: Setting) -> None:
    await submit(setting, "gone", 3, INTERACTIVE, tenant="a")
    await submit(setting, "kept", 3)
    for n in range(3):
        await setting.jobs.delete(f"gone-{n}")
    assert await claims(setting, 3) == ["kept"] * 3


async def test_released_tasks_come_back_in_their_order(setting: Setting) -> None:
    await submit(setting, "job", 4)
    held = [await setting.claim(worker=f"w{n}") for n in range(3)]
    for n in (1, 0, 2):
        await setting.jobs.release(held[n])
    assert [(await setting.finish()).job_id for _ in range(4)] == [f"job-{n}" for n in range(4)]


async def test_the_position_counts_down_to_the_claim(setting: Setting) -> None:
    await submit(setting, "a", 5, tenant="a")
    await submit(setting, "b", 3, tenant="b")
    order = [f"{name}-{n}" for n in range(3) for name in "ab"] + ["a-3", "a-4"]
    assert [await setting.jobs.position(job) for job in order] == list(range(8))
    for _ in range(8):
        assert await setting.jobs.position(order[0]) == 0
        assert (await setting.finish()).job_id == order.pop(0)
        assert [await setting.jobs.position(job) for job in order] == list(range(len(order)))


async def test_the_position_knows_the_other_classes(setting: Setting) -> None:
    await submit(setting, "batch", 2, BATCH)
    await submit(setting, "interactive", 100, INTERACTIVE)
    assert await setting.jobs.position("interactive-0") == 0
    assert await setting.jobs.position("batch-0") == 16
    assert (await claims(setting, 20)).index("batch") in range(7, 17)


async def test_the_position_is_of_the_next_queued_task(setting: Setting) -> None:
    await setting.jobs.submit(submission("job", plan=diamond()))
    assert await setting.jobs.position("job") == 0
    claim = await setting.claim()
    assert await setting.jobs.position("job") is None
    await setting.jobs.complete(claim, completion(claim))
    assert await setting.jobs.position("job") == 0


async def test_a_lapsed_task_is_ahead_of_all_that_wait(setting: Setting) -> None:
    await submit(setting, "job", 2)
    await setting.claim()
    await setting.expire()
    assert await setting.jobs.position("job-1") == 1


async def test_pools_keep_their_turns_apart(setting: Setting) -> None:
    for n in range(4):
        await setting.jobs.submit(submission(f"e-{n}", tenant="ab"[n % 2]))
        await setting.jobs.submit(submission(f"d-{n}", plan=single("decode"), tenant="ba"[n % 2]))
    assert [(await setting.finish("decode")).job_id for _ in range(4)] == [f"d-{n}" for n in range(4)]
    assert [(await setting.finish()).job_id for _ in range(4)] == [f"e-{n}" for n in range(4)]


async def test_a_job_comes_with_its_place(setting: Setting) -> None:
    for number in range(3):
        entered = await setting.jobs.enter(submission(f"job-{number}"))
        assert entered == (await setting.jobs.get(f"job-{number}"), number)
    assert await setting.jobs.enter(submission("job-1")) == (await setting.jobs.get("job-1"), 1)  # it was there before
    await setting.jobs.cancel("job-1")
    assert await setting.jobs.enter(submission("job-1")) == (await setting.jobs.get("job-1"), None)
