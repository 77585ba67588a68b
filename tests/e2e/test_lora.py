"""A LoRA by its name, from the request to the pixels: through HTTP, the job store and Triton."""

from __future__ import annotations

from typing import Any

import numpy as np

from e2e.lora import INK, WIDE
from e2e.media import png, scene
from e2e.stack import TINY, Stack, task_of

ASKED: dict[str, Any] = {"prompt": "a cube rolls", "num_frames": 5, "size": "96x96", "num_inference_steps": 2, "seed": 1234}

FIRST = ("first.png", png(scene(1, 96, 96)[0]), "image/png")


def made(stack: Stack, **fields: Any) -> dict[str, Any]:
    return stack.make(**ASKED, **fields, input_reference=FIRST)


def test_a_world_is_made_under_a_lora_as_strong_as_it_is_asked_for(stack: Stack) -> None:
    plain, styled, fainter = made(stack), made(stack, lora=INK), made(stack, lora=INK, lora_scale=0.5)
    assert (styled["parameters"]["lora"], styled["parameters"]["lora_scale"]) == (INK, 1.0)
    latents = [stack.tensor(job, "denoise", "latents") for job in (plain, styled, fainter)]
    assert not np.array_equal(latents[0], latents[1])
    assert not np.array_equal(latents[1], latents[2])


def test_what_was_made_under_a_lora_is_remembered_under_it_alone(stack: Stack) -> None:
    made(stack, lora=INK)
    memos = [task_of(made(stack, **fields), "denoise")["memo"] for fields in ({"lora": INK}, {"lora": INK, "lora_scale": 1.5})]
    assert memos == [True, False]


def test_the_offered_ones_are_told_and_others_refused(stack: Stack) -> None:
    model = stack.client.get(f"/v1/models/{TINY}").json()
    assert model["parameters"]["video2world"]["lora"]["allowed"] == [INK, WIDE]
    refused = stack.client.post("/v1/videos", json=ASKED | {"lora": "oil"})
    assert (refused.status_code, refused.json()["error"]["allowed"]) == (422, [INK, WIDE])


def test_a_lora_of_another_network_fails_the_job_and_says_why(stack: Stack) -> None:
    job = stack.wait(stack.create(**ASKED, lora=WIDE, input_reference=FIRST)["id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "component_unusable")
    assert "is for another network" in job["error"]["message"]
