"""The whole path in diffusers' numerics gives what diffusers' pipelines of Predict1 give."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orrery.worlds.catalog.models import Workflow
from orrery.worlds.catalog.predict1 import TINY as MODEL
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest
from stages import asking
from stages.asking import made
from stages.predict1 import Reference
from stages.reference import Result, stand_in_for_torchvision
from stages.setting import PlainCall, Stages, clip

SIGMA_DATA = 0.5
"""The deviation of the pipelines' latents; Orrery's have that of the tokenizer, 1."""


@pytest.fixture(scope="module")
def reference(models_dir: Path) -> Reference:
    return Reference(models_dir)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision(monkeypatch)


request_of = partial(asking.request_of, MODEL, num_inference_steps=3, size="96x96")
arguments_of = partial(asking.arguments_of, model=MODEL)


def served(request: WorldRequest, stages: Stages, frames: np.ndarray | None = None) -> Result:
    done = made(request, MODEL, stages, frames)
    return Result(done["denoise"]["latents"] * SIGMA_DATA, done["decode_video"]["frames"])


@pytest.mark.parametrize("asked", [{"seed": 2**32 - 1, "size": "176x96"}, {"num_frames": 25}, {"guidance_scale": 1.0}])
def test_text2world_is_that_of_diffusers_to_the_bit(asked: dict[str, Any], reference: Reference, stages: Stages) -> None:
    request = request_of(Workflow.TEXT2WORLD, **asked)
    ours, theirs = served(request, stages), reference.text2world(**arguments_of(request))
    assert np.array_equal(ours.latents, theirs.latents)
    assert np.array_equal(ours.frames, theirs.frames)
    assert theirs.frames.std() > 20, "a flat picture would be equal to anything"


@pytest.mark.parametrize(("given", "asked"), [(1, {"seed": 7}), (9, {"seed": 3}), (9, {"guidance_scale": 0.0})])
def test_video2world_is_that_of_diffusers(given: int, asked: dict[str, Any], reference: Reference, stages: Stages) -> None:
    """Only rounding differs: Orrery encodes the frames that are given, the pipeline a clip filled up with zeros."""
    frames = clip(given, 96, 96)
    request = request_of(Workflow.VIDEO2WORLD, frames, num_conditional_frames=given, **asked)
    ours, theirs = served(request, stages, frames), reference.video2world(frames, **arguments_of(request))
    assert np.abs(ours.latents - theirs.latents).max() <= 5e-5
    assert np.abs(ours.frames.astype(int) - theirs.frames.astype(int)).max() <= 1
    assert theirs.frames.std() > 20


def test_of_the_same_conditioning_latents_it_is_that_of_diffusers_to_the_bit(reference: Reference, stages: Stages) -> None:
    frames = clip(9, 96, 96)
    request = request_of(Workflow.VIDEO2WORLD, frames, num_conditional_frames=9, seed=11)
    theirs = reference.video2world(frames, **arguments_of(request))
    video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255 * 2 - 1
    padded = torch.cat([video, torch.zeros(1, 3, request.num_frames - 9, 96, 96)], dim=2)
    with torch.inference_mode():
        latents = reference.vae.encode(padded).latent_dist.mode()
    config = reference.vae.config
    mean, std = (torch.tensor(values).view(1, 16, -1, 1, 1)[:, :, :3] for values in (config.latents_mean, config.latents_std))
    done, task = made(request, MODEL, stages, frames), plan(request, MODEL).task("denoise")
    values = dict(task.parameters) | {
        "component": task.component,
        "text_embeddings": done["encode_text"]["text_embeddings"],
        "negative_text_embeddings": done["encode_negative_text"]["text_embeddings"],
        "condition_latents": ((latents - mean) / std)[0, :, :2].numpy(),
    }
    ours = stages["denoiser"].run(values, PlainCall(stages))["latents"]
    assert np.array_equal(ours * SIGMA_DATA, theirs.latents)


def test_official_numerics_are_not_those_of_diffusers(stages: Stages) -> None:
    """Another end of the schedule, another frame rate, other noise on what is given, other pixels."""
    frames = clip(1, 96, 96)
    official, theirs = (
        served(request_of(Workflow.VIDEO2WORLD, frames, numerics=numerics), stages, frames)
        for numerics in ("official", "diffusers")
    )
    assert np.abs(official.latents - theirs.latents).max() > 1e-2
