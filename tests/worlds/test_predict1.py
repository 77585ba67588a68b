"""What may be asked of Predict1, and which tasks become of it."""

from __future__ import annotations

import pytest

from orrery.worlds.catalog import find
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.catalog.models import ModelSpec, Sampler, Workflow
from orrery.worlds.errors import InvalidField
from orrery.worlds.plan import ArtifactRef, Task
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, WorldRequest, settle

MODEL, TINY = find("predict1-7b"), find("tiny-predict1")
CLIP = ArtifactRef(digest="c" * 64, size=1)
WORLDS = (Workflow.TEXT2WORLD, Workflow.VIDEO2WORLD)


def request(workflow: Workflow, model: ModelSpec = MODEL, **fields: object) -> WorldRequest:
    conditioning = CLIP if workflow is Workflow.VIDEO2WORLD else None
    return settle(RequestedWorld.model_validate({"prompt": "a ball"} | fields), model, workflow, conditioning=conditioning)


def tasks(workflow: Workflow, model: ModelSpec = MODEL, **fields: object) -> dict[str, Task]:
    return {task.id: task for task in plan(request(workflow, model, **fields), model).tasks}


@pytest.mark.parametrize("workflow", WORLDS)
def test_the_defaults_are_those_of_the_official_script(workflow: Workflow) -> None:
    asked = request(workflow)
    assert (asked.num_frames, asked.fps, str(asked.size)) == (121, 24, "1280x704")
    assert (asked.num_inference_steps, asked.guidance_scale, asked.sampler) == (35, 7.0, Sampler.EDM_EULER)
    assert asked.negative_prompt.startswith("The video captures a series of frames showing ugly scenes")
    assert asked.num_conditional_frames == (1 if workflow is Workflow.VIDEO2WORLD else 0)


def test_it_makes_worlds_and_no_pictures() -> None:
    assert MODEL.workflows == WORLDS
    with pytest.raises(InvalidField, match="does not serve text2image"):
        request(Workflow.TEXT2IMAGE)


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ({"num_frames": 120}, "num_frames", "121 to 121 in steps of 8"),
        ({"num_frames": 113}, "num_frames", "121 to 121 in steps of 8"),
        ({"fps": 16}, "fps", [24]),
        ({"size": "960x704"}, "size", ["1280x704"]),
        ({"num_conditional_frames": 5}, "num_conditional_frames", [1, 9]),
        ({"sampler": "res_2ab"}, "sampler", ["edm_euler", "edm_euler_diffusers"]),
        ({"seconds": 6}, "seconds", "1 to 5"),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed(fields: dict[str, object], field: str, allowed: object) -> None:
    with pytest.raises(InvalidField) as refusal:
        request(Workflow.VIDEO2WORLD, **fields)
    assert (refusal.value.field, refusal.value.allowed) == (field, allowed)


def test_a_world_from_text_is_conditioned_on_nothing() -> None:
    found = tasks(Workflow.TEXT2WORLD)
    assert [task.pool for task in found.values()] == [
        "guardrail_text",
        "text_encoder/t5-11b",
        "text_encoder/t5-11b",
        "denoiser/predict1-7b-text2world",
        "video_decoder/cv8x8x8-vae",
        "publisher",
    ]
    assert "condition_latents" not in found["denoise"].inputs
    with pytest.raises(InvalidField):
        request(Workflow.TEXT2WORLD, num_conditional_frames=1)


def test_sixteen_latent_frames_stand_for_121() -> None:
    for workflow in WORLDS:
        assert tasks(workflow)["denoise"].parameters["latent_shape"] == [16, 88, 160]
    assert tasks(Workflow.TEXT2WORLD, TINY, num_frames=25, size="96x96")["denoise"].parameters["latent_shape"] == [4, 12, 12]


def test_whose_numbers_are_reproduced() -> None:
    official, theirs = (tasks(Workflow.VIDEO2WORLD, numerics=numerics) for numerics in ("official", "diffusers"))
    told = ("sampler", "rope_fps", "num_inference_steps")
    assert [official["denoise"].parameters[name] for name in told] == ["edm_euler", 24.0, 35]
    assert [theirs["denoise"].parameters[name] for name in told] == ["edm_euler_diffusers", 30.0, 35]
    assert "posterior_seed" not in official["encode_video"].parameters
    assert theirs["encode_video"].parameters["posterior_frames"] == 121


def test_where_the_hub_has_its_components() -> None:
    sources = {name: COMPONENTS[name].source for name in find("predict1-14b").components}
    assert {name: source.repository for name, source in sources.items() if source is not None} == {
        "t5-11b": "nvidia/Cosmos-Predict2-2B-Text2Image",
        "cv8x8x8-vae": "nvidia/Cosmos-1.0-Diffusion-7B-Text2World",
        "predict1-14b-text2world": "nvidia/Cosmos-1.0-Diffusion-14B-Text2World",
        "predict1-14b-video2world": "nvidia/Cosmos-1.0-Diffusion-14B-Video2World",
    }
