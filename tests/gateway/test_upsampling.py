"""Prompts that a language model rewrites, as clients ask for that and hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.rig import UPSAMPLED, VIDEO, Rig, eventually, rig_of
from gateway.samples import png
from orrery.gateway.routes.nim import UPSAMPLED as HEADER
from orrery.gateway.settings import PromptUpsampling

PROMPT = "a robot arm stacks boxes"
ASKED = {"prompt_upsampling": True}
UPSAMPLER = "prompt_upsampler/reason1-7b"


@asynccontextmanager
async def offering(upsampling: PromptUpsampling, **settings: Any) -> AsyncIterator[Rig]:
    async with rig_of(prompt_upsampling=upsampling, **settings) as rig:
        yield rig


async def made(rig: Rig, answer: httpx.Response) -> dict[str, Any]:
    """The job as it stands when it is done."""
    assert answer.status_code == 202, answer.text
    await rig.work(answer.json()["id"])
    body: dict[str, Any] = (await rig.client.get(f"/v1/videos/{answer.json()['id']}")).json()
    assert body["status"] == "completed", body["error"]
    return body


def pools(job: dict[str, Any]) -> list[str]:
    return [task["pool"] for task in job["timeline"]]


async def test_where_nothing_rewrites_prompts_asking_for_it_is_refused_and_nothing_is_left() -> None:
    async with offering(PromptUpsampling.NEVER) as rig:
        for answer in (await rig.post(**ASKED), await rig.upload(png(8, 8), prompt_upsampling="true")):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["field"]) == (422, "invalid_field", "prompt_upsampling")
            assert error["allowed"] == [False]
        assert await rig.left_behind() == []
        job = await made(rig, await rig.post(prompt_upsampling=False))
        assert (job["upsampled_prompt"], job["upsampling"], UPSAMPLER in pools(job)) == (None, None, False)


@pytest.mark.parametrize(
    ("upsampling", "fields", "upsampled"),
    [
        (PromptUpsampling.ON_REQUEST, {}, False),
        (PromptUpsampling.ON_REQUEST, ASKED, True),
        (PromptUpsampling.ALWAYS, {}, True),
        (PromptUpsampling.ALWAYS, {"prompt_upsampling": None}, True),
        (PromptUpsampling.ALWAYS, {"prompt_upsampling": False}, False),
    ],
)
async def test_a_prompt_is_rewritten_if_the_request_or_the_installation_says_so(
    upsampling: PromptUpsampling, fields: dict[str, Any], *, upsampled: bool
) -> None:
    async with offering(upsampling) as rig:
        job = await made(rig, await rig.post(**fields))
        assert (job["parameters"]["prompt_upsampling"], UPSAMPLER in pools(job)) == (upsampled, upsampled)
        assert job["prompt"] == PROMPT
        assert job["upsampled_prompt"] == (UPSAMPLED if upsampled else None)
        assert job["upsampling"] == ({"outcome": "upsampled", "reason": None} if upsampled else None)


async def test_until_it_is_chosen_the_prompt_is_pending() -> None:
    async with offering(PromptUpsampling.ON_REQUEST) as rig:
        job = (await rig.post(**ASKED)).json()
        assert (job["upsampled_prompt"], job["upsampling"]) == (None, {"outcome": "pending", "reason": None})


async def test_a_form_says_it_in_words() -> None:
    async with offering(PromptUpsampling.ON_REQUEST) as rig:
        job = await made(rig, await rig.upload(png(8, 8), prompt_upsampling="true"))
        assert job["upsampled_prompt"] == UPSAMPLED
        refused = (await rig.upload(png(8, 8), prompt_upsampling="yes")).json()["error"]
        assert (refused["field"], refused["code"]) == ("prompt_upsampling", "invalid_field")
        refused = (await rig.post(prompt_upsampling="true")).json()["error"]
        assert (refused["field"], refused["code"]) == ("prompt_upsampling", "invalid_field")


async def test_a_remix_is_rewritten_as_its_source_was_unless_it_says_otherwise() -> None:
    async with offering(PromptUpsampling.ON_REQUEST) as rig:
        source = await made(rig, await rig.post(**ASKED))
        path = f"/v1/videos/{source['id']}/remix"
        for fields, upsampled in (({}, True), ({"prompt_upsampling": False}, False)):
            job = await made(rig, await rig.client.post(path, json={"prompt": "another"} | fields))
            assert (UPSAMPLER in pools(job), job["prompt"]) == (upsampled, "another")


async def test_an_estimate_counts_the_upsampler_and_an_image_has_none() -> None:
    async with offering(PromptUpsampling.ALWAYS) as rig:
        told = (await rig.client.post("/v1/videos:estimate", json={"prompt": PROMPT})).json()
        assert told["parameters"]["prompt_upsampling"] is True
        answer = await rig.client.post("/v1/images/generations", json={"prompt": PROMPT, **ASKED})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "prompt_upsampling")


async def test_models_say_whether_it_can_be_asked_for() -> None:
    told = {}
    for upsampling in PromptUpsampling:
        async with offering(upsampling) as rig:
            parameters = (await rig.client.get("/v1/models/tiny-predict2")).json()["parameters"]
            told[upsampling] = [parameters[workflow]["prompt_upsampling"] for workflow in ("text2world", "text2image")]
    never = {"default": False, "allowed": [False]}
    assert told == {
        PromptUpsampling.NEVER: [never, never],
        PromptUpsampling.ON_REQUEST: [{"default": False, "allowed": [False, True]}, never],
        PromptUpsampling.ALWAYS: [{"default": True, "allowed": [False, True]}, never],
    }


async def test_a_gateway_is_ready_without_an_upsampler_unless_every_prompt_goes_to_it() -> None:
    for upsampling in PromptUpsampling:
        async with offering(upsampling) as rig:
            missing = (await rig.client.get("/health/ready")).json()["missing"]
            assert (UPSAMPLER in missing) == (upsampling is PromptUpsampling.ALWAYS)


@pytest.mark.parametrize(
    ("upsampling", "fields", "said"),
    [
        (PromptUpsampling.NEVER, {}, PROMPT),
        (PromptUpsampling.ON_REQUEST, {}, UPSAMPLED),
        (PromptUpsampling.ON_REQUEST, {"prompt_upsampling": False}, PROMPT),
    ],
)
async def test_the_nim_upsamples_unless_told_not_to_and_says_what_it_used(
    upsampling: PromptUpsampling, fields: dict[str, Any], said: str
) -> None:
    async with offering(upsampling) as rig:
        request = asyncio.create_task(rig.client.post("/v1/infer", json={"prompt": PROMPT} | fields))

        async def begun() -> list[str]:
            return [job.id for job in (await rig.jobs.list(after=None, limit=1, order="asc")).jobs]

        (job_id,) = await eventually(begun)
        await rig.work(job_id, media=VIDEO)
        answer = await request
    assert answer.status_code == 200, answer.text
    assert answer.json()["upsampled_prompt"] == said
    assert answer.headers[HEADER] == str(said == UPSAMPLED).lower()
