"""Fields and references as other servers' clients spell them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import pytest

from gateway.rig import Rig
from gateway.samples import clip, png
from orrery.gateway.references import DataUrls, References
from orrery.worlds.errors import InvalidField

DATA_URL = "data:image/png;base64," + base64.b64encode(png(8, 8)).decode()


@pytest.mark.parametrize(
    ("spelled", "shown", "value"),
    [
        ({"steps": 4}, "num_inference_steps", 4),
        ({"num_steps": 4}, "num_inference_steps", 4),
        ({"guidance": 3}, "guidance_scale", 3),
        ({"num_output_frames": 9}, "num_frames", 9),
        ({"num_video_frames": 9}, "num_frames", 9),
        ({"frames_per_sec": 16}, "fps", 16),
        ({"num_chunks": 2, "num_overlap_frames": 5}, "seconds", "1.8125"),
        ({"width": 96, "height": 96}, "size", "96x96"),
        ({"aspect_ratio": "1,1"}, "size", "96x96"),
        ({"resolution": "96_9_16"}, "size", "96x176"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
async def test_a_field_may_come_under_its_other_names(
    rig: Rig, form: bool, spelled: dict[str, Any], shown: str, value: Any
) -> None:
    if form:
        fields = {"prompt": "a box"} | {name: str(one) for name, one in spelled.items()}
        answer = await rig.client.post("/v1/videos", files={name: (None, one) for name, one in fields.items()})
    else:
        answer = await rig.post(**spelled)
    assert answer.status_code == 202, answer.text
    assert answer.json()[shown] == value


async def test_two_names_of_one_field_are_refused(rig: Rig) -> None:
    answer = await rig.post(steps=4, num_inference_steps=4)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (422, "invalid_field", "num_inference_steps")
    assert "steps and num_inference_steps" in error["message"]
    assert await rig.left_behind() == []


async def test_errors_speak_of_the_field_as_it_was_spelled(rig: Rig) -> None:
    error = (await rig.post(steps=0)).json()["error"]
    assert (error["field"], error["allowed"]) == ("steps", "1 to 100")
    assert (await rig.post(guidence=3)).json()["error"]["allowed"] == ["guidance"]


async def test_a_key_stands_for_the_same_request_however_it_is_spelled(rig: Rig) -> None:
    headers = {"Idempotency-Key": "k"}
    first, second = [
        await rig.client.post("/v1/videos", json={"prompt": "a box", name: 4}, headers=headers)
        for name in ("steps", "num_inference_steps")
    ]
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "written",
    [
        {"input_reference": DATA_URL},
        {"input_reference": {"image_url": DATA_URL}},
        {"image": DATA_URL},
        {"image_reference": {"image_url": DATA_URL}},
        {"video_reference": {"video_url": "data:video/mp4;base64," + base64.b64encode(clip(5)).decode()}},
    ],
    ids=lambda value: "-".join(value),
)
async def test_a_reference_may_be_written(rig: Rig, written: dict[str, Any]) -> None:
    answer = await rig.post(**written)
    assert answer.status_code == 202, answer.text
    assert answer.json()["workflow"] == "video2world"
    assert (await rig.conditioning(answer.json()["id"])).shape[0] == 1


async def test_a_form_may_hold_the_object_of_a_reference(rig: Rig) -> None:
    """So OpenAI's own client sends it."""
    form = {"prompt": (None, "a box"), "input_reference[image_url]": (None, DATA_URL)}
    answer = await rig.client.post("/v1/videos", files=form)
    assert answer.status_code == 202, answer.text
    assert answer.json()["workflow"] == "video2world"


async def test_a_form_may_hold_a_reference_as_json(rig: Rig) -> None:
    """So vLLM-Omni's clients send it."""
    form = {"prompt": (None, "a box"), "image_reference": (None, json.dumps({"image_url": DATA_URL}))}
    answer = await rig.client.post("/v1/videos", files=form)
    assert answer.status_code == 202, answer.text
    assert answer.json()["workflow"] == "video2world"
    broken = await rig.client.post("/v1/videos", files=form | {"image_reference": (None, "{")})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "malformed_body")


async def test_a_file_may_come_under_another_name_but_once(rig: Rig) -> None:
    form = {"prompt": "a box"}
    answer = await rig.client.post("/v1/videos", data=form, files={"image": ("a.png", png(8, 8))})
    assert answer.json()["workflow"] == "video2world"
    both = {"image": ("a.png", png(8, 8)), "video": (None, DATA_URL)}
    answer = await rig.client.post("/v1/videos", data=form, files=both)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "video")


@pytest.mark.parametrize(
    "form",
    [
        {"input_reference": (None, DATA_URL), "input_reference[image_url]": (None, DATA_URL)},
        {"input_reference[image_url]": (None, DATA_URL), "input_reference": (None, DATA_URL)},
        {"input_reference[image_url]": (None, DATA_URL), "input_reference[file_id]": (None, "file-1")},
    ],
    ids=str,
)
async def test_a_reference_is_given_in_one_way(rig: Rig, form: dict[str, Any]) -> None:
    answer = await rig.client.post("/v1/videos", files={"prompt": (None, "a box")} | form)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "input_reference")


@dataclass
class Shelf:
    """Files of tenants, as a kind of reference."""

    files: dict[tuple[str, str], bytes]
    allowed: tuple[str, ...] = ('"file-..."',)
    keys: tuple[str, ...] = ("file_id",)
    closed: int = 0

    def fits(self, written: str) -> bool:
        return written.startswith("file-")

    @asynccontextmanager
    async def opened(self, written: str, tenant: str) -> AsyncIterator[BinaryIO]:
        if (tenant, written) not in self.files:
            raise InvalidField("there is no such file", field="input_reference", allowed="one of yours")
        yield BytesIO(self.files[tenant, written])
        self.closed += 1


async def test_other_kinds_of_references_are_registered(rig: Rig) -> None:
    shelf = Shelf({("mine", "file-1"): png(8, 8)})
    rig.app.state.gateway = replace(rig.app.state.gateway, references=References((DataUrls(), shelf)))
    for written in ("file-1", {"file_id": "file-1"}):
        body = {"prompt": "a box", "input_reference": written}
        answer = await rig.client.post("/v1/videos", json=body, headers={"X-Orrery-Tenant": "mine"})
        assert answer.status_code == 202, answer.text
        frames = await rig.conditioning(answer.json()["id"])
        assert frames.dtype == np.uint8
        refused = await rig.client.post("/v1/videos", json=body)
        assert (refused.status_code, refused.json()["error"]["allowed"]) == (422, "one of yours")
    assert shelf.closed == 2
    misplaced = await rig.post(input_reference={"image_url": "file-1"})
    assert '"file-..."' in misplaced.json()["error"]["allowed"]
