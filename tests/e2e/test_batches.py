"""A batch through the whole stack, as OpenAI's own package orders and reads it."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from e2e.media import decode, png, scene
from e2e.stack import Stack

FAST: dict[str, Any] = {"size": "96x96", "num_inference_steps": 3, "num_frames": 9}


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(api_key="none", base_url=f"{stack.client.base_url}/v1", http_client=http) as client:
        yield client


def ordered(client: openai.OpenAI, *lines: dict[str, Any]) -> Any:
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint="/v1/videos", completion_window="24h")


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    given = {"prompt": "a ball rolls over a table"} | FAST | body
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/videos", "body": given}


def until(client: openai.OpenAI, batch_id: str, *statuses: str, seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while (batch := client.batches.retrieve(batch_id)).status not in statuses:
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def results(client: openai.OpenAI, file_id: str) -> dict[str, dict[str, Any]]:
    lines = [json.loads(text) for text in client.files.content(file_id).text.splitlines()]
    return {one["custom_id"]: one["response"] for one in lines}


def test_requests_in_a_file_become_films(client: openai.OpenAI, stack: Stack) -> None:
    picture = client.files.create(file=("first.png", png(scene(1, 96, 96, seed=3)[0])), purpose="vision")
    conditioned = line("from a picture", seed=2, input_reference={"file_id": picture.id})
    batch = ordered(client, line("from words", seed=1), conditioned, line("too wide", size="1x1"))
    done = until(client, batch.id, "completed")
    assert done.request_counts.model_dump() == {"total": 3, "completed": 2, "failed": 1}
    good = results(client, done.output_file_id)
    assert list(good) == ["from words", "from a picture"]
    for response in good.values():
        assert response["status_code"] == 200
        frames, told = decode(stack.content(response["body"]["id"]))
        assert (frames.shape, told["codec"]) == ((9, 96, 96, 3), "h264")
    assert [good[name]["body"]["workflow"] for name in good] == ["text2world", "video2world"]
    (bad,) = results(client, done.error_file_id).values()
    assert (bad["status_code"], bad["body"]["error"]["field"]) == (422, "size")


def test_a_batch_that_is_cancelled_frees_the_stage(client: openai.OpenAI, stack: Stack) -> None:
    slow = {"num_inference_steps": 50, "num_frames": 33, "size": "176x96"}
    batch = ordered(client, *(line(str(n), seed=100 + n, **slow) for n in range(5)))
    deadline = time.monotonic() + 60
    while not any(job["stage"] == "denoiser" and job["step"] for job in running(stack)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.batches.cancel(batch.id)
    ended = until(client, batch.id, "cancelled", seconds=30)
    assert (ended.request_counts.total, ended.request_counts.failed) == (5, 5 - ended.request_counts.completed)
    assert running(stack) == []
    made = stack.make(prompt="the stage is free", **FAST)
    assert made["status"] == "completed"


def running(stack: Stack) -> list[dict[str, Any]]:
    page = stack.client.get("/v1/videos", params={"limit": 100}).raise_for_status().json()
    return [job for job in page["data"] if job["status"] in ("queued", "in_progress")]


def test_images_in_a_file(client: openai.OpenAI) -> None:
    body = {"prompt": "a ball", "size": "96x96", "num_inference_steps": 3, "n": 2}
    data = json.dumps({"custom_id": "two", "method": "POST", "url": "/v1/images/generations", "body": body}).encode()
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/images/generations", completion_window="24h")
    done = until(client, batch.id, "completed")
    (response,) = results(client, done.output_file_id).values()
    assert len(response["body"]["data"]) == 2
    for image in response["body"]["data"]:
        with Image.open(io.BytesIO(base64.b64decode(image["b64_json"]))) as opened:
            assert opened.size == (96, 96)
