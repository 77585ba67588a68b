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


async def test_images_come_as_addresses_that_serve_them(rig: Rig) -> None:
    body = (await generate(rig, n=2, response_format="url", num_steps=3)).json()
    assert all("b64_json" not in image for image in body["data"])
    for image, job_id in zip(body["data"], await job_ids(rig), strict=True):
        assert image["url"] == f"http://gateway/v1/images/{job_id}/content"
        file = await rig.client.get(image["url"], headers={"Range": "bytes=0-99"})
        assert (file.status_code, file.content) == (206, VIDEO[:100])
        assert file.headers["content-type"] == "image/png"
        assert (await rig.jobs.get(job_id)).request["num_inference_steps"] == 3


async def test_images_are_kept_as_long_as_asked(rig: Rig) -> None:
    await generate(rig, expires_after=3600)
    (job_id,) = await job_ids(rig)
    job = await rig.jobs.get(job_id)
    assert job.expires_at is not None
    assert job.finished_at is not None
    assert job.expires_at - job.finished_at == 3600


async def test_a_key_stands_for_all_images_of_a_request(rig: Rig) -> None:
    async def ask(**fields: Any) -> httpx.Response:
        return await rig.client.post(URL, json={"prompt": "a gripper"} | fields, headers={"Idempotency-Key": "k"})

    request = asyncio.create_task(ask(n=2))
    for job_id in await eventually(lambda: job_ids(rig)):
        await rig.work(job_id)
    first = await request
    again = await ask(num_outputs_per_prompt=2, response_format="url")
    assert len(await job_ids(rig)) == 2
    assert [image["id"] for image in again.json()["data"]] == [image["id"] for image in first.json()["data"]]
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    other = await ask(n=3)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_conflict")


async def test_images_with_a_key_go_on_when_their_client_waited_too_long() -> None:
    async with rig_of(generation_timeout_seconds=0.05) as rig:
        headers = {"Idempotency-Key": "k"}
        answer = await rig.client.post(URL, json={"prompt": "a gripper"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")
        (job_id,) = await job_ids(rig)
        assert (await rig.jobs.get(job_id)).state == "queued"
        await rig.work(job_id)
        assert (await rig.client.post(URL, json={"prompt": "a gripper"}, headers=headers)).status_code == 200


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
        ({"response_format": "file"}, "invalid_field", "response_format"),
        ({"response_format": []}, "invalid_field", "response_format"),
        ({"size": "1x1"}, "invalid_field", "size"),
        ({"num_frames": 17}, "unknown_field", "num_frames"),
        ({"input_reference": "data:"}, "unknown_field", "input_reference"),
        ({"steps": 0}, "invalid_field", "steps"),
        ({"webhook_url": "https://a.example"}, "unknown_field", "webhook_url"),
        ({"expires_after": 1}, "invalid_field", "expires_after"),
        ({"output_format": "mp4"}, "invalid_field", "output_format"),
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
