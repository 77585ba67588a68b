"""A request names a LoRA that is offered, and the task that makes its result is done under it."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orrery.artifacts import memo_key
from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.errors import InvalidField
from orrery.worlds.parameters import parameters_of
from orrery.worlds.plan import ArtifactRef, Task
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, WorldRequest, asked_again, settle
from orrery.worlds.schemas import schema_of

PLAIN = find("tiny-predict2")
OFFERING = PLAIN.model_copy(update={"loras": ("ink", "clay")})
FRAMES = ArtifactRef(digest="0" * 64, size=1)


def settled(workflow: Workflow = Workflow.TEXT2WORLD, **fields: Any) -> WorldRequest:
    conditioning = FRAMES if workflow is Workflow.VIDEO2WORLD else None
    return settle(RequestedWorld.model_validate({"prompt": "a ball"} | fields), OFFERING, workflow, conditioning=conditioning)


def denoisers(workflow: Workflow, **fields: Any) -> dict[str, Task]:
    return {task.id: task for task in plan(settled(workflow, **fields), OFFERING).tasks if task.stage == "denoiser"}


@pytest.mark.parametrize("workflow", [Workflow.TEXT2IMAGE, Workflow.VIDEO2WORLD])
def test_the_denoiser_is_told_which_and_how_strong(workflow: Workflow) -> None:
    told = denoisers(workflow, lora="ink", lora_scale=0.5)["denoise"].parameters
    assert (told["lora"], told["lora_scale"]) == ("ink", 0.5)
    assert denoisers(workflow, lora="ink")["denoise"].parameters["lora_scale"] == 1.0


def test_an_image_before_a_world_is_made_without() -> None:
    tasks = denoisers(Workflow.TEXT2WORLD, lora="ink")
    assert tasks["denoise"].parameters["lora"] == "ink"
    assert "lora" not in tasks["image_denoise"].parameters


def test_every_chunk_of_a_film_is_made_under_it() -> None:
    chunked = denoisers(Workflow.VIDEO2WORLD, lora="clay", num_chunks=2)
    assert len(chunked) == 2
    assert {task.parameters["lora"] for task in chunked.values()} == {"clay"}


def test_a_plan_without_one_is_what_it_was() -> None:
    """So are its memo keys: LoRAs cost nobody a task that was done before there were any."""
    assert plan(settled(), OFFERING) == plan(settled(), PLAIN)
    assert not any("lora" in name for task in plan(settled(), OFFERING).tasks for name in task.parameters)


def test_the_memo_key_knows_which_and_how_strong() -> None:
    contract, keys = CONTRACTS["denoiser"], set()
    for fields in ({}, {"lora": "ink"}, {"lora": "clay"}, {"lora": "ink", "lora_scale": 0.5}):
        task = denoisers(Workflow.VIDEO2WORLD, **fields)["denoise"]
        keys.add(memo_key(contract, "fingerprint", task.parameters, {}))
    assert len(keys) == 4
    assert "lora" in contract.companions, "whose fingerprint is part of the key"


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ({"lora": "oil"}, "lora", ["ink", "clay"]),
        ({"lora": ""}, "lora", ["ink", "clay"]),
        ({"lora": "ink", "lora_scale": 2.1}, "lora_scale", "0 to 2"),
        ({"lora": "ink", "lora_scale": -0.1}, "lora_scale", "0 to 2"),
        ({"lora": "ink", "lora_scale": float("nan")}, "lora_scale", "0 to 2"),
        ({"lora_scale": 1.0}, "lora_scale", "together with lora"),
    ],
)
def test_what_is_not_offered_is_refused(fields: dict[str, Any], field: str, allowed: Any) -> None:
    with pytest.raises(InvalidField) as refused:
        settled(**fields)
    assert (refused.value.field, refused.value.allowed) == (field, allowed)


def test_a_request_asked_again_is_the_same() -> None:
    for fields in ({}, {"lora": "clay"}, {"lora": "ink", "lora_scale": 0.25}):
        request = settled(**fields)
        assert settle(asked_again(request), OFFERING, Workflow.TEXT2WORLD) == request


def test_what_is_offered_is_told() -> None:
    assert parameters_of(OFFERING, Workflow.TEXT2IMAGE)["lora"]["allowed"] == ["ink", "clay"]
    assert "lora" not in parameters_of(PLAIN, Workflow.TEXT2IMAGE)
    offering, plain = (Draft202012Validator(schema_of(model, Workflow.TEXT2IMAGE)) for model in (OFFERING, PLAIN))
    for body, taken in (({"lora": "ink"}, True), ({"lora": "oil"}, False), ({"lora": "ink", "lora_scale": 3}, False)):
        assert offering.is_valid({"prompt": "x"} | body) == taken
        assert not plain.is_valid({"prompt": "x"} | body)
