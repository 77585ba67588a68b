"""Predict2.5 through HTTP: what the pipeline of diffusers makes of the same checkpoint, and what the official loops do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from e2e.media import decode, mp4, scene
from e2e.stack import Stack
from orrery.stages.denoiser import official_noise
from orrery.worlds import catalog
from stages.official25 import OFFICIAL, Network
from stages.reference25 import Reference25, stand_in_for_torchvision25

MODEL = catalog.find("tiny-predict25")
PROMPT = "A robot arm welds the door of a red car"
ASKED = {"model": MODEL.name, "prompt": PROMPT, "size": "96x96", "num_frames": 13, "output_format": "mkv"}
SHAPE = (1, 16, *MODEL.compression.latent_shape(13, 96, 96))


@pytest.fixture(scope="module")
def reference(models_dir: Path) -> Reference25:
    return Reference25(models_dir, MODEL)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision25(monkeypatch)


@pytest.mark.parametrize(("seed", "given"), [(0, 0), (2**32 - 1, 5)])
def test_a_world_equals_the_pipeline(seed: int, given: int, stack: Stack, reference: Reference25) -> None:
    """From text alone, and from the last frames of a clip."""
    film = mp4(scene(9, 96, 96, seed=3))
    fields = {"input_reference": ("a.mp4", film), "num_conditional_frames": given} if given else {}
    job = stack.make(**ASKED, **fields, seed=seed, num_inference_steps=4, numerics="diffusers")
    assert MODEL.world is not None
    theirs = reference.world(
        decode(film)[0][-given:] if given else None,
        prompt=PROMPT,
        negative_prompt=MODEL.world.default_negative_prompt,
        height=96,
        width=96,
        num_frames=13,
        num_inference_steps=4,
        guidance_scale=7.0,
        latents=official_noise(seed, SHAPE),
        seed=seed,
    )
    assert np.abs(stack.tensor(job, "denoise", "latents") - theirs.latents).max() <= (5e-5 if given else 0)
    assert np.abs(decode(stack.content(job["id"]))[0].astype(int) - theirs.frames.astype(int)).max() <= 1
    assert theirs.frames.std() > 20, "a flat picture would be equal to anything"


@pytest.mark.parametrize("sampler", OFFICIAL)
def test_a_world_equals_the_official_loop(sampler: str, stack: Stack, models_dir: Path) -> None:
    """Of each of the three samplers that official code has for the checkpoints of Predict2.5, written down in FP64."""
    job = stack.make(**ASKED, seed=7, num_inference_steps=4, sampler=sampler, guidance_scale=2.0)
    texts = [stack.tensor(job, task, "text_embeddings") for task in ("encode_text", "encode_negative_text")]
    theirs = OFFICIAL[sampler](
        Network(models_dir / "tiny-predict25-base", texts, guidance_scale=2.0), official_noise(7, SHAPE), 4
    )
    assert np.abs(stack.tensor(job, "denoise", "latents") - theirs[0]).max() <= 2e-5
