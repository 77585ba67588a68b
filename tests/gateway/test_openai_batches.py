"""The `openai` package, as it comes, on files and batches of a gateway behind a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from gateway.batching import jobs_of, jsonl, line, work_all
from gateway.rig import Rig, rig_of
from gateway.samples import png
from gateway.served import served


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rig_of(batch_pause_seconds=0.02) as rig:
        yield rig


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[openai.AsyncOpenAI]:
    async with served(rig.app) as there, httpx.AsyncClient(trust_env=False, timeout=20) as http:
        yield openai.AsyncOpenAI(base_url=f"{there.base_url}/v1", api_key="any", http_client=http, max_retries=0)


async def test_files(client: openai.AsyncOpenAI) -> None:
    policy: Any = {"anchor": "created_at", "seconds": 7200}
    made = await client.files.create(file=("in.jsonl", b'{"a": 1}\n'), purpose="batch", expires_after=policy)
    assert (made.object, made.bytes, made.filename, made.purpose, made.status) == ("file", 9, "in.jsonl", "batch", "processed")
    assert made.expires_at == made.created_at + 7200
    assert await client.files.retrieve(made.id) == made
    assert (await client.files.wait_for_processing(made.id)).id == made.id
    picture = await client.files.create(file=("a.png", png(64, 48)), purpose="vision")
    assert [file.id async for file in client.files.list(limit=1)] == [picture.id, made.id]
    assert [file.id async for file in client.files.list(purpose="vision", order="asc")] == [picture.id]
    assert (await client.files.content(made.id)).content == b'{"a": 1}\n'
    assert (await client.files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made.id)
    with pytest.raises(openai.UnprocessableEntityError, match="purpose"):
        await client.files.create(file=("a", b""), purpose="decoration")  # type: ignore[arg-type]


async def ordered(client: openai.AsyncOpenAI, *lines: Any) -> Any:
    file = await client.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/videos", completion_window="24h", metadata={"for": "test"}
    )


async def until(client: openai.AsyncOpenAI, rig: Rig | None, batch_id: str, *statuses: str) -> Any:
    async with asyncio.timeout(20):
        while (batch := await client.batches.retrieve(batch_id)).status not in statuses:
            if rig:
                await work_all(rig)
            await asyncio.sleep(0.02)
    return batch


async def test_a_batch_from_its_file_to_its_results(client: openai.AsyncOpenAI, rig: Rig) -> None:
    batch = await ordered(client, line("a"), line("b", seed=-1))
    assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"for": "test"})
    done = await until(client, rig, batch.id, "completed")
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (2, 1, 1)
    (good,) = [json.loads(one) for one in (await client.files.content(done.output_file_id)).text.splitlines()]
    (bad,) = [json.loads(one) for one in (await client.files.content(done.error_file_id)).text.splitlines()]
    video = (await rig.client.get(f"/v1/videos/{good['response']['body']['id']}")).json()
    assert (good["custom_id"], video["status"], video) == ("a", "completed", good["response"]["body"])
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("b", 422)
    assert [one.id async for one in client.batches.list()] == [batch.id]


async def test_a_batch_that_cannot_be_read(client: openai.AsyncOpenAI) -> None:
    batch = await ordered(client, b"no json\n")
    failed = await until(client, None, batch.id, "failed")
    assert [(one.code, one.line) for one in failed.errors.data] == [("invalid_json_line", 1)]


async def test_cancelling(client: openai.AsyncOpenAI, rig: Rig) -> None:
    batch = await ordered(client, line("a"), line("b"))
    await until(client, None, batch.id, "in_progress")
    assert (await client.batches.cancel(batch.id)).status in ("cancelling", "cancelled")
    ended = await until(client, None, batch.id, "cancelled")
    assert (ended.request_counts.failed, ended.output_file_id) == (2, None)
    assert {job.state for job in await jobs_of(rig)} == {"cancelled"}
