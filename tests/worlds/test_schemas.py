"""The JSON Schema of a model's parameters says what `settle` does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orrery.worlds.catalog import CATALOG, find
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.errors import InvalidField
from orrery.worlds.parameters import parameters_of
from orrery.worlds.requests import RequestedWorld, settle
from orrery.worlds.schemas import schema_of

SERVED = [(model, workflow) for model in CATALOG.values() for workflow in model.workflows]
TINY = find("tiny-predict2")


def takes(model: ModelSpec, workflow: Workflow, **fields: Any) -> bool:
    try:
        settle(RequestedWorld(prompt="a ball", **fields), model, workflow)
    except InvalidField:
        return False
    return True


@pytest.mark.parametrize(("model", "workflow"), SERVED, ids=lambda value: getattr(value, "name", str(value)))
def test_every_schema_is_one_and_its_defaults_are_the_settled_ones(model: ModelSpec, workflow: Workflow) -> None:
    schema = schema_of(model, workflow)
    Draft202012Validator.check_schema(schema)
    defaults = {name: one["default"] for name, one in schema["properties"].items() if "default" in one}
    assert Draft202012Validator(schema).is_valid({"prompt": "x"} | defaults)
    plain = settle(RequestedWorld(prompt="x"), model, workflow)
    assert settle(RequestedWorld.model_validate({"prompt": "x"} | defaults), model, workflow) == plain
    worlds_alone = {"num_frames", "fps", "num_conditional_frames", "prompt_upsampling"}
    assert set(parameters_of(model, workflow)) - set(schema["properties"]) <= worlds_alone


PROBES: dict[str, st.SearchStrategy[Any]] = {
    "num_frames": st.integers(-5, 120),
    "seconds": st.integers(-2, 9),
    "fps": st.integers(0, 30),
    "num_conditional_frames": st.integers(-1, 10),
    "num_inference_steps": st.integers(-5, 120),
    "guidance_scale": st.floats(-5, 30),
    "seed": st.integers(-10, 10) | st.integers(2**32 - 5, 2**32 + 5),
    "size": st.sampled_from(["176x96", "96x96", "1280x704", "176 x 96", ""]),
    "resolution": st.sampled_from(["96", "720", "480", ""]),
    "aspect_ratio": st.sampled_from(["16:9", "1:1", "3:4", "2:1", ""]),
    "sampler": st.sampled_from(["res_2ab", "euler", "ddim", ""]),
    "numerics": st.sampled_from(["official", "diffusers", "mine", ""]),
    "output_format": st.sampled_from(["mp4", "mkv", "png", "gif", ""]),
}


@pytest.mark.parametrize("workflow", [Workflow.TEXT2WORLD, Workflow.VIDEO2WORLD], ids=str)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_value_is_valid_exactly_if_it_is_taken(workflow: Workflow, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PROBES)))
    value = data.draw(PROBES[name])
    valid = Draft202012Validator(schema_of(TINY, workflow)).is_valid({"prompt": "a ball", name: value})
    assert valid == takes(TINY, workflow, **{name: value}), (name, value)


def test_what_is_required_and_what_is_unknown() -> None:
    validator = Draft202012Validator(schema_of(TINY, Workflow.TEXT2IMAGE))
    assert not validator.is_valid({})
    assert not validator.is_valid({"prompt": ""})
    assert not validator.is_valid({"prompt": "x", "num_frames": 9})
    assert schema_of(TINY, Workflow.TEXT2WORLD)["properties"]["guidance_scale"]["x-synonyms"] == ["guidance"]
