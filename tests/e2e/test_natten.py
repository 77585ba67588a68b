"""A world with neighbourhood attention through the HTTP API is diffusers' pipeline, whose own processor is given the masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from e2e.media import decode, png, scene
from e2e.stack import Stack
from orrery.engines.neighbourhood import token_mask
from orrery.stages.denoiser import official_noise
from orrery.worlds.catalog.predict2 import TINY_NATTEN as MODEL
from orrery.worlds.neighbourhoods import TABLES, adapted
from stages.reference import Reference, stand_in_for_torchvision
from stages.test_neighbourhood import Masked

WIDTH, HEIGHT, NUM_FRAMES, STEPS, SEED = 176, 96, 13, 3, 4
LATENTS = (4, 12, 22)
TOKENS = (4, 6, 11)


def test_video2world_equals_the_pipeline(stack: Stack, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision(monkeypatch)
    frames = scene(1, HEIGHT, WIDTH, seed=2)
    asked = {"prompt": "A robot arm welds", "num_frames": NUM_FRAMES, "num_inference_steps": STEPS, "seed": SEED}
    told = {"model": MODEL.name, "size": f"{WIDTH}x{HEIGHT}", "numerics": "diffusers", "output_format": "mkv"}
    job = stack.make(**asked, **told, input_reference=("a.png", png(frames[0])))
    reference = Reference(models_dir)
    every = torch.arange(TOKENS[0] * TOKENS[1] * TOKENS[2])
    for block, pattern in zip(reference.world.transformer.transformer_blocks, TABLES["tiny"], strict=True):
        assert pattern is not None
        block.attn1.set_processor(Masked(token_mask(adapted(pattern, TOKENS), TOKENS, every)))
    theirs = reference.video2world(
        frames,
        **asked,
        height=HEIGHT,
        width=WIDTH,
        negative_prompt=MODEL.world.default_negative_prompt,
        guidance_scale=MODEL.world.default_guidance_scale,
        latents=official_noise(SEED, (1, 16, *LATENTS)),
    )
    ours = stack.tensor(job, "denoise", "latents")
    np.testing.assert_allclose(ours, np.asarray(theirs.latents).reshape(ours.shape), atol=1e-4)
    shown = decode(stack.content(job["id"]))[0]
    assert np.abs(shown.astype(int) - theirs.frames.astype(int)).max() <= 1
    assert theirs.frames.std() > 20, "a flat picture would be equal to anything"


def test_other_shapes_than_it_was_trained_at_are_refused(stack: Stack) -> None:
    frame = png(scene(1, HEIGHT, WIDTH, seed=2)[0])
    answer = stack.client.post(
        "/v1/videos", data={"model": MODEL.name, "prompt": "x", "size": "96x96"}, files={"input_reference": ("a.png", frame)}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["field"], error["allowed"]) == (422, "size", ["176x96"])
