"""`/v1/images/generations`: the answer is the image."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from gateway.rig import VIDEO, Rig, eventually, rig_of

URL = "/v1/images/generations"


async def job_ids(rig: Rig) -> list[str]:
    return [job.id for job in (await rig.jobs.list(after=None, limit=100, order="asc")).jobs]


async def generate(rig: Rig, failing: dict[str, dict[str, Any]] | None = None, **fields: Any) -> httpx.Response:
    """The answer, with a worker doing whatever is submitted."""
    request = asyncio.create_task(rig.client.post(URL, json={"prompt": "a gripper"} | fields))
    for job_id in await eventually(lambda: job_ids(rig)):
        await rig.work(job_id, failing=failing)
    return await request


async def test_images_come_with_their_seeds(rig: Rig) -> None:
    answer = await generate(rig, n=3, seed=40, size="96x96")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert isinstance(body["created"], int)
    assert [image["seed"] for image in body["data"]] == [40, 41, 42]
    assert {base64.b64decode(image["b64_json"]) for image in body["data"]} == {VIDEO}
    assert {image["revised_prompt"] for image in body["data"]} == {None}
    jobs = [await rig.jobs.get(job_id) for job_id in await job_ids(rig)]
    assert {job.workflow for job in jobs} == {"text2image"}


async def test_a_failed_job_is_the_answer_and_ends_the_others(rig: Rig) -> None:
    error = {"code": "stage_unavailable", "message": "the denoiser went away"}
    answer = await generate(rig, n=2, failing={"denoiser": error})
    assert answer.status_code == 503
    assert answer.json()["error"] == error | {"type": "server_error"}
    assert {(await rig.jobs.get(job_id)).state.ended for job_id in await job_ids(rig)} == {True}


async def test_a_job_cancelled_by_another_is_a_typed_error(rig: Rig) -> None:
    request = asyncio.create_task(rig.client.post(URL, json={"prompt": "a gripper"}))
    (job_id,) = await eventually(lambda: job_ids(rig))
    await rig.jobs.cancel(job_id)
    answer = await request
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job_cancelled")


async def test_waiting_has_an_end() -> None:
    async with rig_of(generation_timeout_seconds=0.05) as rig:
        answer = await rig.client.post(URL, json={"prompt": "a gripper"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")
        (job_id,) = await job_ids(rig)
        assert (await rig.jobs.get(job_id)).state == "cancelled"


async def test_a_client_that_leaves_cancels_its_images(rig: Rig) -> None:
    leave = asyncio.Event()
    body = json.dumps({"prompt": "a gripper", "n": 2}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        return None

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": URL,
        "raw_path": URL.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("gateway", 80),
    }
    request = asyncio.create_task(rig.app(scope, receive, send))
    ids = await eventually(lambda: job_ids(rig))
    leave.set()
    await request
    assert {(await rig.jobs.get(job_id)).state for job_id in ids} == {"cancelled"}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"prompt": ""}, "invalid_field", "prompt"),
        ({"prompt": "a nude person"}, "prompt_blocked", "prompt"),
        ({"n": 0}, "invalid_field", "n"),
        ({"n": 5}, "invalid_field", "n"),
        ({"n": "2"}, "invalid_field", "n"),
        ({"n": True}, "invalid_field", "n"),
        ({"n": 10**400}, "invalid_field", "n"),
        ({"n": 2, "seed": 2**32 - 1}, "invalid_field", "seed"),
        ({"response_format": "url"}, "invalid_field", "response_format"),
        ({"response_format": []}, "invalid_field", "response_format"),
        ({"size": "1x1"}, "invalid_field", "size"),
        ({"num_frames": 17}, "unknown_field", "num_frames"),
        ({"input_reference": "data:"}, "unknown_field", "input_reference"),
        ({"steps": 4}, "unknown_field", "steps"),
    ],
    ids=str,
)
async def test_bad_requests_leave_nothing(rig: Rig, fields: dict[str, Any], code: str, field: str) -> None:
    answer = await rig.client.post(URL, json={"prompt": "a gripper"} | fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (422, code, field)
    assert error.get("allowed") or error.get("evidence")
    assert await rig.left_behind() == []


async def test_only_json_is_taken(rig: Rig) -> None:
    answer = await rig.client.post(URL, files={"prompt": (None, "a gripper")})
    assert (answer.status_code, answer.json()["error"]["allowed"]) == (415, ["application/json"])
