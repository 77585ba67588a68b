"""Batches for the tests: their files, their feeding step by step, and their results."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway.rig import Rig
from orrery.gateway.batching.feeder import Feeder

VIDEOS, IMAGES = "/v1/videos", "/v1/images/generations"
ENDED = ("completed", "failed", "expired", "cancelled")
PAUSE = {"batch_pause_seconds": 0.005}


def line(custom_id: Any, url: str = VIDEOS, **body: Any) -> dict[str, Any]:
    given = {"prompt": f"a robot arm stacks box {custom_id}"} | body
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": given}


def jsonl(*lines: Any) -> bytes:
    return b"".join(text if isinstance(text, bytes) else json.dumps(text).encode() + b"\n" for text in lines)


async def put(rig: Rig, data: bytes, purpose: str = "batch", **given: Any) -> str:
    answer = await rig.client.post("/v1/files", data={"purpose": purpose}, files={"file": ("in.jsonl", data)}, **given)
    assert answer.status_code == 200, answer.text
    file_id: str = answer.json()["id"]
    return file_id


async def ordered(rig: Rig, *lines: Any, url: str = VIDEOS, headers: Any = None, **fields: Any) -> dict[str, Any]:
    file_id = await put(rig, jsonl(*lines), headers=headers)
    order = {"input_file_id": file_id, "endpoint": url, "completion_window": "24h"} | fields
    answer = await rig.client.post("/v1/batches", json=order, headers=headers)
    assert answer.status_code == 200, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


async def read(rig: Rig, batch_id: str, headers: Any = None) -> dict[str, Any]:
    batch: dict[str, Any] = (await rig.client.get(f"/v1/batches/{batch_id}", headers=headers)).json()
    return batch


def feeder_of(rig: Rig) -> Feeder:
    feeder: Feeder = rig.app.state.feeder
    return feeder


async def steps(rig: Rig, count: int = 1) -> None:
    """So many steps of the batch, each when it is due."""
    for _ in range(count):
        while not await feeder_of(rig).step():
            await asyncio.sleep(0.002)


async def jobs_of(rig: Rig) -> list[Any]:
    """All jobs, the oldest first."""
    found: list[Any] = []
    more, after = True, None
    while more:
        page = await rig.jobs.list(after=after, limit=100, order="asc")
        found += page.jobs
        more, after = page.has_more, page.jobs[-1].id if page.jobs else None
    return found


async def work_all(rig: Rig, **failing: Any) -> None:
    for job in await jobs_of(rig):
        if not job.state.ended:
            await rig.work(job.id, **failing)


async def finish(rig: Rig, batch_id: str, **failing: Any) -> dict[str, Any]:
    """Steps and works in turn until the batch has ended."""
    async with asyncio.timeout(30):
        while (batch := await read(rig, batch_id))["status"] not in ENDED:
            await steps(rig)
            await work_all(rig, **failing)
    return batch


async def content(rig: Rig, file_id: str) -> list[dict[str, Any]]:
    answer = await rig.client.get(f"/v1/files/{file_id}/content")
    assert answer.status_code == 200, answer.text
    return parsed(answer.content)


async def so_far(rig: Rig, batch_id: str, kind: str = "output") -> list[dict[str, Any]]:
    answer = await rig.client.get(f"/v1/batches/{batch_id}/{kind}")
    assert answer.status_code == 200, answer.text
    return parsed(answer.content)


def parsed(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(one) for one in text.splitlines()]
