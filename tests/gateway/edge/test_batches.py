"""Batches that are ordered under a key: what it may do, their children may do, and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.batching import ENDED, feeder_of, jobs_of, jsonl, line, parsed, work_all
from gateway.edge.callers import Caller, guarded, write_keys
from gateway.rig import TINY, Rig

PAUSE = {"batch_pause_seconds": 0.005}


async def ordered(caller: Caller, *lines: Any) -> str:
    form = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", jsonl(*lines))}, "json": None}
    file = (await caller.post("/v1/files", **form)).json()
    order = {"input_file_id": file["id"], "endpoint": "/v1/videos", "completion_window": "24h"}
    answer = await caller.post("/v1/batches", json=order)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def finished(rig: Rig, caller: Caller, batch_id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (batch := (await caller.get(f"/v1/batches/{batch_id}")).json())["status"] not in ENDED:
            await feeder_of(rig).step()
            await work_all(rig)
            await asyncio.sleep(0.002)
    found: dict[str, Any] = batch
    return found


async def test_files_and_batches_are_their_tenants_own(tmp_path: Path) -> None:
    async with guarded(tmp_path, {"tenant": "ann"}, {"tenant": "bob"}, **PAUSE) as (rig, (ann, bob)):
        batch_id = await ordered(ann, line("a"))
        batch = await finished(rig, ann, batch_id)
        assert (batch["status"], [job.tenant for job in await jobs_of(rig)]) == ("completed", ["ann"])
        for path in (
            f"/v1/batches/{batch_id}",
            f"/v1/batches/{batch_id}/output",
            f"/v1/files/{batch['output_file_id']}/content",
        ):
            assert (await bob.get(path)).status_code == 404
            assert (await ann.get(path)).status_code == 200
        for path in ("/v1/batches", "/v1/files"):
            assert (await bob.get(path)).json()["data"] == []


async def test_a_child_is_of_a_model_that_the_key_is_for(tmp_path: Path) -> None:
    keys = {"tenant": "ann", "models": ("none-of-them",)}
    async with guarded(tmp_path, keys, **PAUSE) as (rig, (ann,)):
        batch = await finished(rig, ann, await ordered(ann, line("a", model=TINY)))
        (error,) = parsed((await ann.get(f"/v1/files/{batch['error_file_id']}/content")).content)
        assert (error["response"]["status_code"], error["response"]["body"]["error"]["field"]) == (403, "model")
        assert await jobs_of(rig) == []


async def test_children_wait_for_the_keys_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.batching.feeder.LONGEST_PAUSE", 0.005)
    async with guarded(tmp_path, {"tenant": "ann", "quota": {"concurrent": 2}}, **PAUSE) as (rig, (ann,)):
        batch_id = await ordered(ann, *(line(str(n)) for n in range(5)))
        for _ in range(4):
            await feeder_of(rig).step()
            await asyncio.sleep(0.01)
        assert len(await jobs_of(rig)) == 2
        batch = await finished(rig, ann, batch_id)
        assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", 5)


async def test_a_key_that_is_taken_away_begins_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.edge.keys.LOOK_SECONDS", 0.0)
    two = ({"tenant": "ann"}, {"tenant": "ann"})
    async with guarded(tmp_path, *two, **PAUSE) as (rig, (gone, stays)):
        batch_id = await ordered(gone, line("a"))
        write_keys(tmp_path / "keys.json", stays.key)
        batch = await finished(rig, stays, batch_id)
        assert (batch["status"], batch["request_counts"]["failed"]) == ("completed", 1)
        (error,) = parsed((await stays.get(f"/v1/files/{batch['error_file_id']}/content")).content)
        assert error["response"]["body"]["error"]["code"] == "forbidden"
        assert await jobs_of(rig) == []
