"""Every range of a request: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import math

import pytest

from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import OutputFormat, Sampler, Size, Workflow
from orrery.worlds.catalog.predict2 import NEGATIVE_PROMPT
from orrery.worlds.errors import InvalidField, UnknownModel
from orrery.worlds.parameters import parameters_of
from orrery.worlds.requests import Numerics, RequestedWorld, WorldRequest, settle

RELEASED = find("predict2-2b")


def settled(workflow: Workflow = Workflow.TEXT2WORLD, **fields: object) -> WorldRequest:
    return settle(RequestedWorld.model_validate({"prompt": "a ball"} | fields), RELEASED, workflow)


def test_the_defaults_are_those_of_the_official_script() -> None:
    world = settled()
    assert (world.size, world.num_frames, world.fps) == (Size(width=1280, height=704), 93, 16)
    assert (world.num_inference_steps, world.guidance_scale, world.seed) == (35, 7.0, 0)
    assert (world.sampler, world.numerics, world.output_format) == (Sampler.RES_2AB, Numerics.OFFICIAL, OutputFormat.MP4)
    assert world.negative_prompt == NEGATIVE_PROMPT
    image = settled(Workflow.TEXT2IMAGE)
    assert (image.size, image.guidance_scale, image.negative_prompt) == (Size(width=1360, height=768), 4.0, "")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n "}, "prompt"),
        ({"prompt": "word " * 300}, "prompt"),
        ({"prompt": "nul\x00"}, "prompt"),
        ({"negative_prompt": "word " * 300}, "negative_prompt"),
        ({"num_frames": 0}, "num_frames"),
        ({"num_frames": -3}, "num_frames"),
        ({"num_frames": 92}, "num_frames"),
        ({"num_frames": 97}, "num_frames"),
        ({"num_frames": 10**9}, "num_frames"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 60}, "seconds"),
        ({"seconds": 10**400}, "seconds"),
        ({"seconds": 2, "num_frames": 33}, "seconds"),
        ({"size": "1279x703"}, "size"),
        ({"size": "big"}, "size"),
        ({"size": "1280x704", "aspect_ratio": "1:1"}, "aspect_ratio"),
        ({"resolution": "4k"}, "resolution"),
        ({"aspect_ratio": "2:1"}, "aspect_ratio"),
        ({"fps": 24}, "fps"),
        ({"num_conditional_frames": 5}, "num_conditional_frames"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": -1}, "num_inference_steps"),
        ({"num_inference_steps": 101}, "num_inference_steps"),
        ({"guidance_scale": math.nan}, "guidance_scale"),
        ({"guidance_scale": math.inf}, "guidance_scale"),
        ({"guidance_scale": -1.0}, "guidance_scale"),
        ({"guidance_scale": 20.5}, "guidance_scale"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"sampler": "ddim"}, "sampler"),
        ({"numerics": "mine"}, "numerics"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "png"}, "output_format"),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        settled(**fields)
    assert refused.value.field == field
    assert refused.value.allowed
    assert refused.value.http_status == 422


@pytest.mark.parametrize("frames", [5, 9, 93])
def test_frames_come_in_fours_after_the_first(frames: int) -> None:
    assert settled(num_frames=frames).num_frames == frames


@pytest.mark.parametrize(("seconds", "frames"), [(1, 17), (2, 33), (5, 81)])
def test_seconds_become_the_fewest_frames_that_last_as_long(seconds: int, frames: int) -> None:
    assert settled(seconds=seconds).num_frames == frames
    assert frames / 16 >= seconds > (frames - 4) / 16


def test_299_words_are_the_longest_prompt() -> None:
    assert len(settled(prompt="word " * 299).prompt.split()) == 299


def test_a_size_can_be_named_by_its_ratio() -> None:
    assert settled(aspect_ratio="9:16").size == settled(size="704x1280").size


def test_only_video2world_takes_a_clip() -> None:
    assert settled(Workflow.VIDEO2WORLD, num_conditional_frames=5).num_conditional_frames == 5
    with pytest.raises(InvalidField):
        settled(Workflow.VIDEO2WORLD, num_conditional_frames=3)


def test_parity_mode_uses_the_sampler_of_diffusers_unless_told_otherwise() -> None:
    assert settled(numerics="diffusers").sampler is Sampler.EULER
    assert settled(numerics="diffusers", sampler="res_2ab").sampler is Sampler.RES_2AB


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel) as refused:
        find("sora")
    assert "predict2-2b" in refused.value.allowed


@pytest.mark.parametrize("workflow", Workflow)
def test_what_the_catalog_offers_it_accepts(workflow: Workflow) -> None:
    offered = parameters_of(RELEASED, workflow)
    defaults = {name: spec["default"] for name, spec in offered.items() if "default" in spec}
    assert settled(workflow, **defaults) == settled(workflow)
    for size in offered["size"]["allowed"]:
        assert str(settled(workflow, size=size).size) == size
