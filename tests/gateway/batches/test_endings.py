"""Batches that end before all their lines are done."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from gateway.batching import PAUSE, content, finish, jobs_of, line, ordered, read, steps, work_all
from gateway.rig import Rig, rig_of


async def test_cancelling_a_batch_cancels_its_children_and_keeps_what_was_done(rig: Rig) -> None:
    async with rig_of(batch_open_lines=4, **PAUSE) as rig:
        batch = await ordered(rig, *(line(str(n)) for n in range(10)))
        await steps(rig, 2)
        done, *others = await jobs_of(rig)
        await rig.work(done.id)
        claim = await rig.jobs.claim(sorted({task.pool for task in done.tasks}), "worker-1", wait=0)
        assert claim is not None
        answer = await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
        await steps(rig)
        assert await rig.jobs.renew(claim) == "cancelled"
        states = await rig.jobs.states([done.id, *(job.id for job in others)])
        assert list(states.values()) == ["completed", *["cancelled"] * 3]
        ended = await read(rig, batch["id"])
        assert (ended["status"], ended["request_counts"]) == ("cancelled", {"total": 10, "completed": 1, "failed": 9})
        assert ended["cancelling_at"] <= ended["cancelled_at"]
        assert [one["custom_id"] for one in await content(rig, ended["output_file_id"])] == ["0"]
        left = await content(rig, ended["error_file_id"])
        assert [one["custom_id"] for one in left] == [str(n) for n in range(1, 10)]
        assert {(one["response"], one["error"]["code"]) for one in left} == {(None, "batch_cancelled")}
        again = await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
        assert (again.status_code, again.json()) == (200, ended)
        assert len(await jobs_of(rig)) == 4


async def test_a_batch_can_be_cancelled_before_it_is_validated(rig: Rig) -> None:
    batch = await ordered(rig, line("a"))
    await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"], ended["output_file_id"]) == (
        "cancelled",
        {"total": 0, "completed": 0, "failed": 0},
        None,
    )
    assert await jobs_of(rig) == []


def close_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the gateway that feeds, a day has passed."""
    clock = SimpleNamespace(time=lambda: time.time() + 86400, monotonic=time.monotonic)
    monkeypatch.setattr("orrery.gateway.batching.feeder.time", clock)


async def test_a_window_that_closes_ends_the_batch_with_what_was_done(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig_of(batch_open_lines=2, **PAUSE) as rig:
        batch = await ordered(rig, *(line(str(n)) for n in range(4)))
        await steps(rig, 2)
        first, second = await jobs_of(rig)
        await rig.work(first.id)
        close_window(monkeypatch)
        while (ended := await read(rig, batch["id"]))["status"] not in ("expired", "completed"):
            await steps(rig)
        assert (ended["status"], ended["request_counts"]) == ("expired", {"total": 4, "completed": 1, "failed": 3})
        assert (await rig.jobs.states([second.id])) == {second.id: "cancelled"}
        left = await content(rig, ended["error_file_id"])
        assert [(one["custom_id"], one["error"]["code"]) for one in left] == [(n, "batch_expired") for n in "123"]


async def test_a_window_that_closes_after_the_last_line_was_done_ends_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await ordered(rig, line("a"))
    await steps(rig, 2)
    await work_all(rig)
    close_window(monkeypatch)
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 1, "completed": 1, "failed": 0})


async def test_a_child_that_its_client_deleted_is_an_error_line(rig: Rig) -> None:
    batch = await ordered(rig, line("a"), line("b"))
    await steps(rig, 2)
    first, second = await jobs_of(rig)
    await rig.client.delete(f"/v1/videos/{first.id}")
    await rig.client.post(f"/v1/videos/{second.id}/cancel")
    ended = await finish(rig, batch["id"])
    lines = await content(rig, ended["error_file_id"])
    assert [one["response"]["body"]["error"]["code"] for one in lines] == ["job_not_found", "job_cancelled"]
    assert [one["response"]["status_code"] for one in lines] == [404, 409]
