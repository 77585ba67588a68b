"""`/v1/models`: what may be asked, in words and as JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.rig import Rig, rig_of
from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.components import owner_of

MODEL = "tiny-predict2"


async def test_a_model_tells_the_schema_of_each_workflow(rig: Rig) -> None:
    (listed,) = (await rig.client.get("/v1/models")).json()["data"]
    model = (await rig.client.get(f"/v1/models/{MODEL}")).json()
    assert listed == model
    assert set(model["schemas"]) == set(model["workflows"]) == {"text2image", "text2world", "video2world"}
    for schema in model["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert model["schemas"]["video2world"]["required"] == ["prompt", "input_reference"]
    steps = model["schemas"]["text2world"]["properties"]["num_inference_steps"]
    assert (steps["minimum"], steps["maximum"], steps["default"]) == (1, 100, 35)
    assert steps["x-synonyms"] == ["num_steps", "steps"]
    missing = await rig.client.get("/v1/models/sora-2")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_model")


async def test_a_model_without_weights_of_nvidias_is_not_theirs(rig: Rig) -> None:
    assert (await rig.client.get(f"/v1/models/{MODEL}")).json()["owned_by"] == "orrery"
    owners = {name: owner_of(model) for name, model in CATALOG.items()}
    assert {name for name, owner in owners.items() if owner != "nvidia"} == {
        name for name in CATALOG if name.startswith(("tiny-", "miniature"))
    }


@pytest.mark.parametrize("workflow", ["text2world", "text2image"])
@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"num_frames": 33},
        {"num_frames": 34},
        {"seconds": "2"},
        {"n": 2},
        {"n": 0},
        {"priority": "batch"},
        {"priority": "now"},
        {"expires_after": 59},
        {"expires_after": 60},
        {"model": MODEL},
        {"model": 7},
        {"response_format": "url"},
        {"output_format": "mkv"},
        {"output_format": "png"},
        {"size": "96x96"},
        {"sizes": "96x96"},
        {"guidance_scale": 20.5},
    ],
    ids=str,
)
async def test_a_body_is_valid_exactly_if_it_is_taken(rig: Rig, workflow: str, fields: dict[str, Any]) -> None:
    body = {"prompt": "a ball"} | fields
    model = (await rig.client.get(f"/v1/models/{MODEL}")).json()
    valid = Draft202012Validator(model["schemas"][workflow]).is_valid(body)
    url = "/v1/videos:estimate" if workflow == "text2world" else "/v1/images/generations"
    if workflow == "text2image" and valid:
        return  # it would be waited for
    assert ((await rig.client.post(url, json=body)).status_code == 200) == valid


async def test_a_lora_that_is_offered_may_be_named_and_no_other() -> None:
    async with rig_of(loras=("ink",)) as rig:
        model = (await rig.client.get(f"/v1/models/{MODEL}")).json()
        assert model["parameters"]["text2world"]["lora"]["allowed"] == ["ink"]
        taken = await rig.client.post("/v1/videos", json={"prompt": "a ball", "lora": "ink", "lora_scale": 0.5})
        assert (taken.status_code, taken.json()["parameters"]["lora"]) == (202, "ink")
        other = await rig.client.post("/v1/videos", json={"prompt": "a ball", "lora": "oil"})
        assert (other.status_code, other.json()["error"]["allowed"]) == (422, ["ink"])


async def test_where_none_is_offered_none_may_be_named(rig: Rig) -> None:
    refused = await rig.client.post("/v1/videos", json={"prompt": "a ball", "lora": "ink"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "lora")
