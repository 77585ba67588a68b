"""The Cosmos NIM's shape: its documented request, its words in errors, its service routes."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest

from gateway.nim_requests import DOCUMENTED, SERVED
from gateway.rig import VIDEO, Rig, eventually, rig_of
from gateway.samples import clip, png
from gateway.served import served

INFER = "/v1/infer"


async def job_ids(rig: Rig) -> list[str]:
    return [job.id for job in (await rig.jobs.list(after=None, limit=100, order="asc")).jobs]


async def answered(rig: Rig, **fields: Any) -> tuple[httpx.Response, dict[str, Any]]:
    """The answer when the work is done, and the request of the job that was made."""
    request = asyncio.create_task(rig.client.post(INFER, json=fields))
    (job_id,) = await eventually(lambda: job_ids(rig))
    await rig.work(job_id)
    return await request, (await rig.jobs.get(job_id)).request


async def refused(rig: Rig, field: str, code: str = "invalid_field", **fields: Any) -> dict[str, Any]:
    answer = await rig.client.post(INFER, json=fields)
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("field")) == (422, code, field), error
    assert {"message", "type", "code"} <= set(error)
    assert await rig.left_behind() == []
    return error


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_the_documented_request_field_for_field(rig: Rig) -> None:
    answer, asked = await answered(rig, **SERVED)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert base64.b64decode(body["b64_video"]) == VIDEO
    assert (body["seed"], body["upsampled_prompt"]) == (4, SERVED["prompt"])
    assert answer.headers["X-Orrery-Prompt-Upsampled"] == "false"
    assert (asked["size"], asked["num_frames"], asked["fps"]) == ({"width": 176, "height": 96}, 9, 16)
    assert (asked["guidance_scale"], asked["num_inference_steps"]) == (7.5, 50)
    assert asked["negative_prompt"] == SERVED["negative_prompt"]


async def test_what_is_not_served_of_it_is_named_as_the_client_named_it(rig: Rig) -> None:
    error = await refused(rig, "video_params.frames_per_sec", **DOCUMENTED)
    assert error["allowed"] == [16]
    params = {"height": 704, "width": 1280, "frames_count": 9, "frames_per_sec": 16}
    assert "176x96" in (await refused(rig, "video_params", **DOCUMENTED | {"video_params": params}))["allowed"]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("steps", {"steps": 0}),
        ("num_inference_steps", {"num_inference_steps": 5, "steps": 5}),
        ("video_params.frames_count", {"video_params": {"frames_count": 10}}),
        ("video_params.frames_count", {"video_params": {"frames_count": "9"}}),
        ("video_params.width", {"video_params": {"height": 96}}),
        ("video_params.height", {"video_params": {"height": -96, "width": 176}}),
        ("video_params", {"video_params": 7}),
        ("video_params.frames_count", {"num_frames": 9, "video_params": {"frames_count": 9}}),
        ("prompt_upsampling", {"prompt_upsampling": "yes"}),
        ("seed", {"seed": 2**32}),
        ("guidance_scale", {"guidance_scale": 21}),
        ("flow_shift", {"flow_shift": 5.0}),
        ("transfer", {"transfer": {"edge": {}}}),
        ("action_params", {"action_params": {}}),
        ("condition_frame_indexes_vision", {"condition_frame_indexes_vision": [0]}),
        ("condition_video_keep", {"condition_video_keep": "first"}),
        ("model_mode", {"model_mode": "policy"}),
        ("model_mode", {"model_mode": "dream"}),
        ("model_mode", {"model_mode": "image2video"}),
        ("resolution", {"resolution": "huge"}),
        ("resolution", {"resolution": "480"}),
        ("video", {"image": "AAAA", "video": "AAAA"}),
    ],
    ids=str,
)
async def test_errors_are_in_the_words_of_the_client(rig: Rig, field: str, fields: dict[str, Any]) -> None:
    assert (await refused(rig, field, prompt="a box", **fields))["allowed"]


async def test_unknown_fields_are_refused(rig: Rig) -> None:
    assert (await refused(rig, "step", "unknown_field", prompt="a box", step=3))["allowed"] == ["steps"]
    params = {"frame_count": 9}
    assert (await refused(rig, "frame_count", "unknown_field", prompt="a box", video_params=params))["allowed"] == [
        "frames_count"
    ]


async def test_a_blocked_prompt_is_no_partial_result(rig: Rig) -> None:
    assert (await refused(rig, "prompt", "prompt_blocked", prompt="a nude person"))["evidence"]


async def test_without_a_seed_one_is_drawn_and_told(rig: Rig) -> None:
    answer, asked = await answered(rig, prompt="a box")
    assert answer.json()["seed"] == asked["seed"]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_an_image_begins_the_world(rig: Rig, prefix: str) -> None:
    answer, asked = await answered(rig, prompt="it moves", image=prefix + base64_of(png(64, 48)))
    assert answer.status_code == 200, answer.text
    assert (asked["workflow"], asked["num_conditional_frames"]) == ("video2world", 1)


async def test_a_video_is_continued_from_its_last_frames(rig: Rig) -> None:
    answer, asked = await answered(rig, prompt="it goes on", video=base64_of(clip(9)), condition_video_keep="last")
    assert answer.status_code == 200, answer.text
    assert (asked["workflow"], asked["num_conditional_frames"]) == ("video2world", 5)


async def test_the_form_of_cosmos3_where_a_model_serves_it(rig: Rig) -> None:
    reference = base64_of(png(64, 48))
    fields = {"model_mode": "image2video", "input_reference": reference, "resolution": "96_4_3", "num_frames": 9, "fps": 16}
    answer, asked = await answered(rig, prompt="it moves", num_inference_steps=3, **fields)
    assert answer.status_code == 200, answer.text
    assert (asked["size"], asked["num_frames"]) == ({"width": 128, "height": 96}, 9)


@pytest.mark.parametrize("ratio", ["4_3", "4,3", "4:3"])
async def test_a_ratio_is_spelled_in_three_ways(rig: Rig, ratio: str) -> None:
    _, asked = await answered(rig, prompt="a box", resolution="96", aspect_ratio=ratio)
    assert asked["size"] == {"width": 128, "height": 96}


async def test_a_reference_is_what_its_field_says(rig: Rig) -> None:
    await refused(rig, "video", "invalid_media", prompt="a box", video=base64_of(png(8, 8)))
    await refused(rig, "image", "invalid_media", prompt="a box", image=base64_of(clip(3)))
    await refused(rig, "image", "invalid_media", prompt="a box", image="no base64!")
    await refused(rig, "image", "invalid_media", prompt="a box", image=base64_of(png(64, 48)[:-100]))


async def test_a_client_that_leaves_cancels_its_job(rig: Rig) -> None:
    async with served(rig.app) as client:
        leaving = asyncio.create_task(client.post(INFER, json={"prompt": "a box"}))
        (job_id,) = await eventually(lambda: job_ids(rig))
        leaving.cancel()

        async def cancelled() -> bool:
            return (await rig.jobs.get(job_id)).state == "cancelled"

        await eventually(cancelled)


async def test_a_wait_has_an_end() -> None:
    async with rig_of(generation_timeout_seconds=0.05) as rig:
        answer = await rig.client.post(INFER, json={"prompt": "a box"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")
        (job_id,) = await job_ids(rig)
        assert (await rig.jobs.get(job_id)).state == "cancelled"


async def test_service_routes(rig: Rig) -> None:
    assert (await rig.client.get("/v1/health/live")).json()["status"] == "live"
    ready = await rig.client.get("/v1/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert "guardrail_text" in ready.json()["missing"]
    await rig.jobs.announce("w", ready.json()["missing"], seconds=60)
    ready = await rig.client.get("/v1/health/ready")
    assert (ready.status_code, ready.json()["description"]) == (200, "Triton readiness check")
    assert (await rig.client.get("/v1/metadata")).json()["modelInfo"] == [
        {"shortName": "tiny-predict2", "modelUrl": "/v1/models/tiny-predict2"}
    ]
    assert (await rig.client.get("/v1/manifest")).json()["manifest_file"]["tiny-predict2"]
    assert (await rig.client.get("/v1/version")).json()["release"] == "0.1.0"
    assert (await rig.client.get("/v1/license")).json()["name"] == "Apache-2.0"
    assert "orrery_http_requests" in (await rig.client.get("/v1/metrics")).text
