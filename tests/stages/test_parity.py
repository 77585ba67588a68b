"""The whole path in diffusers' numerics gives what diffusers' pipelines give."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from orrery.worlds import catalog
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.requests import WorldRequest
from stages import asking
from stages.asking import made
from stages.reference import Reference, Result, stand_in_for_torchvision
from stages.setting import Stages, clip

MODEL = catalog.find("tiny-predict2")
SEEDS = (0, 7, 2**32 - 1)
SIZES = ("176x96", "96x96", "96x128")


@pytest.fixture(scope="module")
def reference(models_dir: Path) -> Reference:
    return Reference(models_dir)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision(monkeypatch)


request_of = partial(asking.request_of, MODEL, num_inference_steps=5)
arguments_of = partial(asking.arguments_of, model=MODEL)


def served(request: WorldRequest, stages: Stages, frames: np.ndarray | None = None) -> tuple[Result, np.ndarray]:
    """What the stages make of the request, and its published media."""
    done = made(request, MODEL, stages, frames)
    return Result(done["denoise"]["latents"], done["decode_video"]["frames"]), done["publish"]["media"]


def assert_equal(ours: Result, theirs: Result) -> None:
    assert ours.latents.shape == theirs.latents.shape
    assert np.abs(ours.latents - theirs.latents).max() <= 1e-4
    assert ours.frames.shape == theirs.frames.shape
    assert np.abs(ours.frames.astype(int) - theirs.frames.astype(int)).max() <= 1
    assert theirs.frames.std() > 20, "a flat picture would be equal to anything"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
def test_text2image_is_that_of_diffusers(seed: int, size: str, reference: Reference, stages: Stages) -> None:
    request = request_of(Workflow.TEXT2IMAGE, seed=seed, size=size)
    ours, _ = served(request, stages)
    assert_equal(ours, reference.text2image(**arguments_of(request)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_conditional_frames", [1, 5])
def test_video2world_is_that_of_diffusers(
    seed: int, size: str, num_conditional_frames: int, reference: Reference, stages: Stages
) -> None:
    width, height = map(int, size.split("x"))
    frames = clip(num_conditional_frames, height, width, seed % 100)
    asked = {"seed": seed, "size": size, "num_frames": 13, "num_conditional_frames": num_conditional_frames}
    request = request_of(Workflow.VIDEO2WORLD, frames, **asked, output_format="mkv")
    ours, media = served(request, stages, frames)
    assert_equal(ours, reference.video2world(frames, **arguments_of(request)))
    with av.open(io.BytesIO(media.tobytes())) as film:
        published = np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
    assert np.array_equal(published, ours.frames)


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0])
def test_without_guidance_too(guidance_scale: float, reference: Reference, stages: Stages) -> None:
    frames = clip(1, 96, 96)
    request = request_of(Workflow.VIDEO2WORLD, frames, size="96x96", num_frames=5, guidance_scale=guidance_scale)
    ours, _ = served(request, stages, frames)
    assert_equal(ours, reference.video2world(frames, **arguments_of(request)))


def test_text_embeddings_are_those_of_the_pipeline(reference: Reference, stages: Stages) -> None:
    request = request_of(Workflow.TEXT2IMAGE)
    done = made(request, MODEL, stages)
    with torch.inference_mode():
        theirs = reference.image.encode_prompt(request.prompt, request.negative_prompt)
    assert np.array_equal(done["encode_text"]["text_embeddings"], theirs[0][0].numpy())
    assert np.array_equal(done["encode_negative_text"]["text_embeddings"], theirs[1][0].numpy())


def test_official_numerics_are_not_those_of_diffusers(stages: Stages) -> None:
    """Another sampler, no rotary frame rate and the posterior's mean make another world of the same seed."""
    frames = clip(1, 96, 96)
    asked = {"size": "96x96", "num_frames": 5}
    official, _ = served(request_of(Workflow.VIDEO2WORLD, frames, numerics="official", **asked), stages, frames)
    theirs, _ = served(request_of(Workflow.VIDEO2WORLD, frames, **asked), stages, frames)
    assert np.abs(official.latents - theirs.latents).max() > 1e-2
