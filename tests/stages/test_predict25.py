"""Predict2.5 in diffusers' numerics is what diffusers' pipeline makes; in official ones it differs where it is meant to."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from orrery.stages.stage import StageSettings
from orrery.worlds import catalog
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.components import ComponentKind, write_manifest
from orrery.worlds.plan import TaskOutput
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest
from stages import asking
from stages.asking import PROMPT, made
from stages.reference import Result
from stages.reference25 import Reference25, stand_in_for_torchvision25
from stages.setting import PlainCall, Stages, clip, run_plan

MODEL = catalog.find("tiny-predict25")


@pytest.fixture(scope="module")
def reference(models_dir: Path) -> Reference25:
    return Reference25(models_dir, MODEL)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvision25(monkeypatch)


arguments_of = partial(asking.arguments_of, model=MODEL)


def request_of(frames: np.ndarray | None, **asked: Any) -> WorldRequest:
    workflow = Workflow.TEXT2WORLD if frames is None else Workflow.VIDEO2WORLD
    given = {} if frames is None else {"num_conditional_frames": len(frames)}
    defaults = {"num_inference_steps": 5, "num_frames": 13, "size": "96x96"}
    return asking.request_of(MODEL, workflow, frames, **defaults | given | asked)


def served(request: WorldRequest, stages: Stages, frames: np.ndarray | None) -> Result:
    done = made(request, MODEL, stages, frames)
    return Result(done["denoise"]["latents"], done["decode_video"]["frames"])


def assert_equal(ours: Result, theirs: Result, *, exactly: bool) -> None:
    """Conditioning latents are divided by their deviation here and multiplied by its inverse there: the last bit differs."""
    assert ours.latents.shape == theirs.latents.shape
    assert np.array_equal(ours.latents, theirs.latents) if exactly else np.abs(ours.latents - theirs.latents).max() <= 5e-5
    assert ours.frames.shape == theirs.frames.shape
    assert np.abs(ours.frames.astype(int) - theirs.frames.astype(int)).max() <= 1
    assert theirs.frames.std() > 20, "a flat picture would be equal to anything"


@pytest.mark.parametrize(("seed", "size"), [(0, "96x96"), (2**32 - 1, "176x96")])
def test_text2world_is_that_of_diffusers(seed: int, size: str, reference: Reference25, stages: Stages) -> None:
    request = request_of(None, seed=seed, size=size)
    assert request.num_conditional_frames == 0
    assert_equal(served(request, stages, None), reference.world(None, **arguments_of(request)), exactly=True)


@pytest.mark.parametrize(("seed", "size"), [(0, "96x96"), (7, "96x128")])
@pytest.mark.parametrize("source", ["image", "clip of 1", "clip of 5"])
def test_video2world_is_that_of_diffusers(source: str, seed: int, size: str, reference: Reference25, stages: Stages) -> None:
    width, height = map(int, size.split("x"))
    frames = clip(5 if source == "clip of 5" else 1, height, width, seed)
    request = request_of(frames, seed=seed, size=size)
    theirs = reference.world(frames, as_image=source == "image", **arguments_of(request))
    assert_equal(served(request, stages, frames), theirs, exactly=False)


@pytest.mark.parametrize("count", [1, 5])
def test_from_its_own_conditioning_latents_it_is_diffusers_to_the_bit(
    count: int, reference: Reference25, stages: Stages
) -> None:
    frames = clip(count, 96, 96, 3)
    request = request_of(frames, seed=3)
    done = run_plan(plan(request, MODEL), stages, {request.conditioning.digest: frames} if request.conditioning else {})
    task = plan(request, MODEL).task("denoise")
    texts = {name: done[source.task][source.output] for name, source in task.inputs.items() if isinstance(source, TaskOutput)}
    given = {"condition_latents": reference.conditioning(frames, request.num_frames)}
    values = {**task.parameters, "component": task.component, **texts, **given}
    ours = stages["denoiser"].run(values, PlainCall(stages))["latents"]
    assert np.array_equal(ours, reference.world(frames, **arguments_of(request)).latents)


def test_in_bfloat16_it_is_that_of_diffusers_to_the_bit(models_dir: Path, tmp_path: Path, settings: StageSettings) -> None:
    """The element type of the released weights: text encoder and transformer, times and latents in FP32 between them."""
    assert MODEL.world is not None
    shutil.copytree(models_dir, tmp_path / "models")
    for name, kind in ((MODEL.text_encoder, ComponentKind.TEXT_ENCODER), (MODEL.world.component, ComponentKind.TRANSFORMER)):
        (weights,) = (tmp_path / "models" / name).glob("*.safetensors")
        save_file({key: tensor.bfloat16() for key, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
        write_manifest(tmp_path / "models" / name, kind, random_weights=True)
    reference = Reference25(tmp_path / "models", MODEL, torch.bfloat16)
    stages = Stages(replace(settings, models_dir=tmp_path / "models"))
    request = request_of(None, seed=4)
    assert_equal(served(request, stages, None), reference.world(None, **arguments_of(request)), exactly=True)


def test_without_guidance_too(reference: Reference25, stages: Stages) -> None:
    request = request_of(None, guidance_scale=0.0)
    assert_equal(served(request, stages, None), reference.world(None, **arguments_of(request)), exactly=True)


@pytest.mark.parametrize("prompt", [PROMPT, "", "wörld 世界 <|im_end|> " * 40, "a " * 600])
def test_text_is_what_the_pipeline_feeds_its_transformer(prompt: str, reference: Reference25, stages: Stages) -> None:
    """Projected once in the text stage, to the bits of what the transformer of the pipeline projects at every step."""
    assert MODEL.world is not None
    call = {"component": MODEL.text_encoder, "prompt": prompt, "projection": MODEL.world.component}
    ours = stages["text_encoder"].run(call, PlainCall(stages))["text_embeddings"]
    assert ours.shape == (512, 32)
    assert np.array_equal(ours, reference.text(prompt))


def test_official_numerics_are_not_those_of_diffusers(stages: Stages) -> None:
    """One evaluation more, and levels cut to thousandths."""
    theirs = served(request_of(None), stages, None).latents
    official = served(request_of(None, numerics="official"), stages, None).latents
    cut = served(request_of(None, numerics="official", num_inference_steps=4), stages, None).latents
    assert np.abs(official - theirs).max() > 1e-2
    assert 1e-4 < np.abs(cut - theirs).max() < 0.5, "as many evaluations: only what the network is told differs"
