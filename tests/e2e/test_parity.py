"""What comes out of the HTTP API in diffusers' numerics is what diffusers' own pipelines make of the same checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from e2e.media import decode, mp4, png, scene
from e2e.stack import Stack
from orrery.stages.denoiser import official_noise
from orrery.worlds import catalog
from stages.reference import Reference, stand_in_for_torchvision

MODEL = catalog.find("tiny-predict2")
SEEDS = (0, 7, 2**32 - 1)
SIZES = ("176x96", "96x96", "96x128")
PROMPT = "A robot arm welds the door of a red car"
STEPS = 5
NUM_FRAMES = 13


@pytest.fixture(scope="module")
def reference(models_dir: Path) -> Reference:
    return Reference(models_dir)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision(monkeypatch)


def arguments(size: str, seed: int, num_frames: int, negative_prompt: str, guidance_scale: float) -> dict[str, object]:
    width, height = map(int, size.split("x"))
    shape = (1, 16, *MODEL.compression.latent_shape(num_frames, height, width))
    return {
        "prompt": PROMPT,
        "negative_prompt": negative_prompt,
        "height": height,
        "width": width,
        "num_inference_steps": STEPS,
        "guidance_scale": guidance_scale,
        "latents": official_noise(seed, shape),
        "seed": seed,
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", ["image", "clip"])
def test_video2world_equals_the_pipeline(stack: Stack, reference: Reference, seed: int, size: str, source: str) -> None:
    width, height = map(int, size.split("x"))
    clip = scene(5, height, width, seed=seed % 1000)
    file = ("a.png", png(clip[0])) if source == "image" else ("a.mp4", mp4(clip))
    frames = clip[:1] if source == "image" else decode(file[1])[0]
    job = stack.make(
        prompt=PROMPT,
        seed=seed,
        size=size,
        num_frames=NUM_FRAMES,
        num_inference_steps=STEPS,
        num_conditional_frames=len(frames),
        numerics="diffusers",
        output_format="mkv",
        input_reference=file,
    )
    world = MODEL.world
    assert world is not None
    asked = arguments(size, seed, NUM_FRAMES, world.default_negative_prompt, world.default_guidance_scale)
    theirs = reference.video2world(frames, num_frames=NUM_FRAMES, **asked)
    assert_equal(stack.tensor(job, "denoise", "latents"), theirs.latents)
    assert_close(decode(stack.content(job["id"]))[0], theirs.frames)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
def test_text2image_equals_the_pipeline(stack: Stack, reference: Reference, seed: int, size: str) -> None:
    import base64

    body = {"prompt": PROMPT, "seed": seed, "size": size, "num_inference_steps": STEPS, "numerics": "diffusers"}
    answer = stack.client.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    image = MODEL.image
    assert image is not None
    theirs = reference.text2image(**arguments(size, seed, 1, "", image.default_guidance_scale))
    job = stack.client.get("/v1/videos", params={"limit": 1}).json()["data"][0]
    assert (job["workflow"], job["seed"]) == ("text2image", seed)
    assert_equal(stack.tensor(job, "denoise", "latents"), theirs.latents)
    assert_close(decode(base64.b64decode(answer.json()["data"][0]["b64_json"]))[0], theirs.frames)


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-4


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
    assert theirs.std() > 20, "a flat picture would be equal to anything"
