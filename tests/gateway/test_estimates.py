"""`/v1/videos:estimate`: everything that submitting says, and nothing that it does."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from gateway.rig import Rig, eventually
from gateway.samples import clip, png

URL = "/v1/videos:estimate"


async def estimate(rig: Rig, **fields: Any) -> httpx.Response:
    return await rig.client.post(URL, json={"prompt": "a robot arm stacks boxes"} | fields)


async def test_an_estimate_is_settled_like_a_job_and_leaves_nothing(rig: Rig) -> None:
    told = (await estimate(rig, seconds="1", seed=4)).json()
    assert told["object"] == "video.estimate"
    assert (told["queue_position"], told["eta_seconds"], told["device_seconds"]) == (0, None, None)
    assert await rig.left_behind() == []
    job = (await rig.post(seconds="1", seed=4)).json()
    same = ("model", "workflow", "size", "seconds", "num_frames", "fps", "parameters", "notes", "priority")
    assert {name: told[name] for name in same} == {name: job[name] for name in same}


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
async def test_media_are_checked_too_and_not_stored(rig: Rig, form: bool) -> None:
    async def ask(data: bytes) -> httpx.Response:
        if form:
            fields = {"prompt": "it moves", "num_conditional_frames": "5"}
            return await rig.client.post(URL, data=fields, files={"input_reference": ("a", data)})
        url = "data:video/mp4;base64," + base64.b64encode(data).decode()
        return await estimate(rig, input_reference=url, num_conditional_frames=5)

    told = await ask(clip(9))
    assert (told.status_code, told.json()["workflow"]) == (200, "video2world")
    assert told.json()["notes"]["input"]["frames_used"] == 5
    refused = await ask(clip(3))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_media")
    assert (await ask(b"nothing")).status_code == 422
    assert await rig.left_behind() == []


async def test_what_was_done_before_tells_how_long_it_takes(rig: Rig) -> None:
    for number in range(3):
        job_id = (await rig.post(seed=number)).json()["id"]
        await rig.work(job_id, pause=0.02)  # times are told in milliseconds

    async def known() -> dict[str, Any] | None:
        told = (await estimate(rig)).json()
        return None if told["device_seconds"] is None or told["queue_position"] > 0 else told

    told = await eventually(known)  # what waits is looked at now and then, not at every request
    assert told["device_seconds"] > 0
    assert told["eta_seconds"] > 0
    await rig.post(seed=8)
    await rig.post(seed=9)

    async def behind() -> dict[str, Any] | None:
        told = (await estimate(rig)).json()
        return told if told["queue_position"] == 2 else None

    assert (await eventually(behind))["eta_seconds"] > told["eta_seconds"]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": "a nude person"}, 422, "prompt"),
        ({"num_frames": 6}, 422, "num_frames"),
        ({"stepz": 6}, 422, "stepz"),
        ({"model": "sora-2"}, 404, "model"),
        ({"priority": "now"}, 422, "priority"),
        ({"input_reference": "data:image/png;base64,"}, 422, "input_reference"),
        ({"input_reference": "data:image/png;base64," + base64.b64encode(png(8, 8)).decode(), "fps": 3}, 422, "fps"),
    ],
    ids=str,
)
async def test_what_would_be_refused_is_refused(rig: Rig, fields: dict[str, Any], status: int, field: str) -> None:
    told, posted = await estimate(rig, **fields), await rig.post(**fields)
    assert (told.status_code, told.json()["error"]["field"]) == (status, field)
    assert told.json() == posted.json()
