"""Predict2.5 as the catalog has it, and the plans of its worlds."""

from __future__ import annotations

from typing import Any

import pytest

from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import Sampler, Workflow
from orrery.worlds.catalog.predict2 import NEGATIVE_PROMPT
from orrery.worlds.errors import InvalidField
from orrery.worlds.plan import ArtifactRef, Plan
from orrery.worlds.planner import plan
from orrery.worlds.requests import Numerics, RequestedWorld, settle

CLIP = ArtifactRef(digest="a" * 64, size=1)
RELEASED = ("predict2.5-2b", "predict2.5-2b-pretrained", "predict2.5-14b", "predict2.5-14b-pretrained")


def planned(name: str, workflow: Workflow = Workflow.TEXT2WORLD, **asked: Any) -> Plan:
    model = find(name)
    conditioning = CLIP if workflow is Workflow.VIDEO2WORLD else None
    return plan(settle(RequestedWorld(prompt="a red ball", **asked), model, workflow, conditioning=conditioning), model)


@pytest.mark.parametrize("name", RELEASED)
def test_one_transformer_makes_every_world_as_the_official_script_does(name: str) -> None:
    model = find(name)
    assert model.workflows == (Workflow.TEXT2WORLD, Workflow.VIDEO2WORLD)
    assert model.components[:2] == ("cosmos-reason1-7b", "wan2.1-vae")
    assert len(model.components) == 3
    settled = settle(RequestedWorld(prompt="a red ball"), model, Workflow.TEXT2WORLD)
    assert (settled.num_frames, settled.fps, settled.num_inference_steps, settled.guidance_scale) == (77, 16, 35, 7.0)
    assert (str(settled.size), settled.num_conditional_frames, settled.negative_prompt) == ("1280x704", 0, NEGATIVE_PROMPT)
    assert model.denoiser(Workflow.VIDEO2WORLD).num_conditional_frames == (1, 5)
    with pytest.raises(InvalidField, match="guidance_scale"):
        settle(RequestedWorld(prompt="a", guidance_scale=7.5), model, Workflow.TEXT2WORLD)


@pytest.mark.parametrize(
    ("name", "sampler", "timestep"),
    [(RELEASED[0], "unipc_karras", 1e-4)] + [(name, "unipc_shifted", None) for name in RELEASED[1:]],
)
def test_each_checkpoint_has_the_sampler_it_was_trained_for(name: str, sampler: str, timestep: float | None) -> None:
    for workflow in (Workflow.TEXT2WORLD, Workflow.VIDEO2WORLD):
        denoise = planned(name, workflow).task("denoise")
        assert denoise.parameters["sampler"] == sampler
        assert denoise.parameters.get("conditional_timestep") == timestep
        assert "rope_fps" not in denoise.parameters
        theirs = planned(name, workflow, numerics=Numerics.DIFFUSERS.value).task("denoise")
        assert theirs.parameters["sampler"] == Sampler.UNIPC_DIFFUSERS


def test_a_world_from_text_alone_encodes_no_frames_and_one_from_a_clip_their_mean() -> None:
    assert [task.id for task in planned(RELEASED[0]).tasks] == [
        "guard_prompt",
        "encode_text",
        "encode_negative_text",
        "denoise",
        "decode_video",
        "publish",
    ]
    for numerics in Numerics:
        encode = planned(RELEASED[0], Workflow.VIDEO2WORLD, numerics=numerics.value).task("encode_video")
        assert encode.parameters == {"height": 704, "width": 1280}


def test_texts_name_the_transformer_that_projects_them_and_wait_in_one_pool() -> None:
    texts = [planned(name).task(task) for name in RELEASED for task in ("encode_text", "encode_negative_text")]
    assert {task.pool for task in texts} == {"text_encoder/cosmos-reason1-7b"}
    assert [task.parameters["projection"] for task in texts[::2]] == [
        find(name).denoiser(Workflow.TEXT2WORLD).component for name in RELEASED
    ]
    older = planned("predict2-2b").task("encode_text")
    assert older.parameters == {"prompt": "a red ball"}, "plans of other models are as they were"


def test_the_distilled_one_makes_worlds_from_text_in_four_steps_without_guidance() -> None:
    model = find("predict2.5-2b-distilled")
    assert model.workflows == (Workflow.TEXT2WORLD,)
    made = planned(model.name)
    assert [task.id for task in made.tasks if task.stage == "text_encoder"] == ["encode_text"]
    denoise = made.task("denoise").parameters
    assert (denoise["sampler"], denoise["num_inference_steps"], denoise["guidance_scale"]) == ("trigflow", 4, 0.0)
    for refused in ({"num_inference_steps": 5}, {"guidance_scale": 1.0}, {"sampler": "unipc_karras"}):
        with pytest.raises(InvalidField, match=next(iter(refused))):
            planned(model.name, **refused)
