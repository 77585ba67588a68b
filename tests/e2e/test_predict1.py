"""Predict1 through the HTTP API, in diffusers' numerics, is what diffusers' pipelines make of the same checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e.media import Frames, decode, mp4, png, scene
from e2e.stack import Stack
from orrery.stages.denoiser import official_noise
from orrery.worlds.catalog.predict1 import TINY as MODEL
from stages.predict1 import Reference
from stages.reference import Result, stand_in_for_torchvision

SIDE, NUM_FRAMES, SEED = 96, 17, 7
ASKED = {"model": MODEL.name, "prompt": "A robot arm welds", "seed": SEED, "size": "96x96", "num_inference_steps": 3}
ASKED |= {"num_frames": NUM_FRAMES, "numerics": "diffusers", "output_format": "mkv"}


@pytest.fixture(scope="module")
def reference(models_dir: Path) -> Reference:
    return Reference(models_dir)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision(monkeypatch)


def arguments() -> dict[str, Any]:
    world = MODEL.world
    assert world is not None
    return {
        "prompt": ASKED["prompt"],
        "negative_prompt": world.default_negative_prompt,
        "height": SIDE,
        "width": SIDE,
        "num_frames": NUM_FRAMES,
        "num_inference_steps": ASKED["num_inference_steps"],
        "guidance_scale": world.default_guidance_scale,
        "latents": official_noise(SEED, (1, 16, *MODEL.compression.latent_shape(NUM_FRAMES, SIDE, SIDE))),
        "seed": SEED,
    }


def assert_equal(stack: Stack, job: dict[str, Any], theirs: Result) -> None:
    """The pipelines' latents have a deviation of 0.5, those of the tokenizer 1."""
    ours = stack.tensor(job, "denoise", "latents")
    assert np.abs(ours * 0.5 - theirs.latents).max() <= 5e-5
    frames, told = decode(stack.content(job["id"]))
    assert told["fps"] == 24
    assert frames.shape == theirs.frames.shape
    assert np.abs(frames.astype(int) - theirs.frames.astype(int)).max() <= 1
    assert theirs.frames.std() > 20, "a flat picture would be equal to anything"


def test_text2world_equals_the_pipeline(stack: Stack, reference: Reference) -> None:
    job = stack.make(**ASKED)
    assert job["workflow"] == "text2world"
    assert [row["id"] for row in job["timeline"] if row["id"].startswith("image")] == []
    assert_equal(stack, job, reference.text2world(**arguments()))


def given(source: str) -> tuple[tuple[str, bytes], Frames]:
    """An upload, and the frames in it."""
    frames = scene(9, SIDE, SIDE, seed=SEED)
    if source == "image":
        return ("a.png", png(frames[0])), frames[:1]
    file = mp4(frames, fps=24)
    return ("a.mp4", file), decode(file)[0]


@pytest.mark.parametrize("source", ["image", "clip"])
def test_video2world_equals_the_pipeline(stack: Stack, reference: Reference, source: str) -> None:
    file, frames = given(source)
    job = stack.make(**ASKED, num_conditional_frames=len(frames), input_reference=file)
    assert job["workflow"] == "video2world"
    assert_equal(stack, job, reference.video2world(frames, **arguments()))


def test_what_the_model_does_not_do_is_refused(stack: Stack) -> None:
    answer = stack.client.post("/v1/videos", json=ASKED | {"num_frames": 16})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "num_frames")
    answer = stack.client.post("/v1/images/generations", json={"model": MODEL.name, "prompt": "a ball"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "model")
