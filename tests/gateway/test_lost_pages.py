"""What becomes of a batch whose input, or a page of it, is in the artifact store no more: it ends, and says why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import obstore
import pytest

from gateway.batching import PAUSE, content, feeder_of, finish, jobs_of, line, ordered, read, steps, work_all
from gateway.rig import Rig, rig_of
from orrery.gateway.context import Gateway

LINES = [line(f"w{n}") for n in range(6)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.batching.lines.PAGE_LINES", 2)
    monkeypatch.setattr("orrery.gateway.batching.feeder.LENT_SECONDS", 0.01)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rig_of(batch_open_lines=2, **PAUSE) as rig:
        yield rig


def lose(rig: Rig, digest: str, instead: bytes | None = None) -> None:
    (path,) = [meta["path"] for meta in obstore.list(rig.objects).collect() if digest in meta["path"]]
    obstore.delete(rig.objects, path)
    if instead is not None:
        obstore.put(rig.objects, path, instead)


async def lose_page(rig: Rig, batch_id: str, number: int, instead: bytes | None = None) -> None:
    gateway: Gateway = rig.app.state.gateway
    lose(rig, (await gateway.batches.pages(batch_id))[number].content.digest, instead)


def told(batch: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem["code"], problem["message"].partition(":")[0]) for problem in batch["errors"]["data"]]


async def names(rig: Rig, file_id: str) -> list[str]:
    return [one["custom_id"] for one in await content(rig, file_id)]


@pytest.mark.parametrize(("instead", "code"), [(None, "artifact_not_found"), (b"worn", "artifact_corrupt")])
async def test_a_batch_fails_at_a_page_that_is_no_more(rig: Rig, instead: bytes | None, code: str) -> None:
    batch_id = (await ordered(rig, *LINES))["id"]
    await steps(rig)
    await lose_page(rig, batch_id, 1, instead)
    batch = await finish(rig, batch_id)
    assert (batch["status"], batch["request_counts"]) == ("failed", {"total": 6, "completed": 2, "failed": 4})
    assert told(batch) == [(code, "Requests 3 to 4 of the input cannot be read any more")]
    assert batch["failed_at"] >= batch["finalizing_at"]
    assert await names(rig, batch["output_file_id"]) == ["w0", "w1"]
    unrun = await content(rig, batch["error_file_id"])
    assert [(one["custom_id"], one["error"]["code"]) for one in unrun] == [("w4", "batch_failed"), ("w5", "batch_failed")]
    assert len(await jobs_of(rig)) == 2
    assert not await feeder_of(rig).step()


async def test_what_was_under_way_is_cancelled() -> None:
    async with rig_of(batch_open_lines=3, **PAUSE) as rig:
        batch_id = (await ordered(rig, *LINES))["id"]
        await steps(rig)
        await lose_page(rig, batch_id, 1)
        await steps(rig)
        assert (await read(rig, batch_id))["status"] == "finalizing"
        while (batch := await read(rig, batch_id))["status"] == "finalizing":
            await steps(rig)
        assert (batch["status"], batch["request_counts"]) == ("failed", {"total": 6, "completed": 0, "failed": 6})
        assert [job.state for job in await jobs_of(rig)] == ["cancelled", "cancelled"]
        assert await names(rig, batch["error_file_id"]) == ["w0", "w1", "w4", "w5"]


async def test_a_page_may_be_missed_as_late_as_when_the_results_are_written(rig: Rig) -> None:
    batch_id = (await ordered(rig, *LINES))["id"]
    while (await read(rig, batch_id))["status"] != "finalizing":
        await steps(rig)
        await work_all(rig)
    await lose_page(rig, batch_id, 0)
    batch = await finish(rig, batch_id)
    assert (batch["status"], batch["request_counts"]) == ("failed", {"total": 6, "completed": 4, "failed": 2})
    assert told(batch) == [("artifact_not_found", "Requests 1 to 2 of the input cannot be read any more")]
    assert await names(rig, batch["output_file_id"]) == ["w2", "w3", "w4", "w5"]
    assert batch["error_file_id"] is None


async def test_a_batch_that_is_called_off_is_cancelled_all_the_same(rig: Rig) -> None:
    batch_id = (await ordered(rig, *LINES))["id"]
    await steps(rig)
    await lose_page(rig, batch_id, 2)
    await rig.client.post(f"/v1/batches/{batch_id}/cancel")
    batch = await finish(rig, batch_id)
    assert (batch["status"], batch["request_counts"]) == ("cancelled", {"total": 6, "completed": 0, "failed": 6})
    assert told(batch) == [("artifact_not_found", "Requests 5 to 6 of the input cannot be read any more")]
    assert await names(rig, batch["error_file_id"]) == ["w0", "w1", "w2", "w3"]


async def test_an_input_that_is_no_more_fails_the_batch(rig: Rig) -> None:
    batch = await ordered(rig, *LINES)
    gateway: Gateway = rig.app.state.gateway
    lose(rig, (await gateway.batches.get(batch["id"], "default")).order.input.digest)
    batch = await finish(rig, batch["id"])
    assert (batch["status"], told(batch)) == ("failed", [("artifact_not_found", "The input cannot be read any more")])
    assert batch["errors"]["data"][0]["param"] == "input_file_id"
    assert await jobs_of(rig) == []
