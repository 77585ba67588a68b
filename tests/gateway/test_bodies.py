"""Bodies as the OpenAPI document has them, of a gateway that serves several models."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orrery.gateway.openapi.bodies import EXAMPLES, bodies
from orrery.gateway.parameters import request_schema
from orrery.gateway.settings import GatewaySettings, PromptUpsampling
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.synonyms import SYNONYMS

BOTH = ("tiny-predict2", "predict2-2b")
VIDEO = {"prompt": "a ball"}


def settings(*models: str, **more: Any) -> GatewaySettings:
    served = {"models": models, "default_model": models[0]} | more
    return GatewaySettings(redis_url="redis://none", artifacts_url="memory://", **served)


def schemas(*models: str, **more: Any) -> dict[str, Any]:
    return bodies(settings(*models, **more))


def valid(schema: dict[str, Any], **fields: Any) -> bool:
    return Draft202012Validator(schema).is_valid(VIDEO | fields)


@pytest.mark.parametrize("name", sorted(schemas(*BOTH)))
def test_every_body_is_a_schema_and_its_example_fits(name: str) -> None:
    schema = schemas(*BOTH)[name]
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(EXAMPLES.get(name, {})) == (name in EXAMPLES)


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("workflow", Workflow, ids=str)
@pytest.mark.parametrize("upsampling", PromptUpsampling, ids=str)
def test_what_one_model_takes_the_document_allows(upsampling: PromptUpsampling, model: str, workflow: Workflow) -> None:
    own = request_schema(settings(*BOTH, prompt_upsampling=upsampling).served(model), workflow)
    body = schemas(*BOTH, prompt_upsampling=upsampling)["GenerateImages" if workflow is Workflow.TEXT2IMAGE else "CreateVideo"]
    fields = {
        name: field for name, field in own["properties"].items() if name not in ("prompt", "webhook_url", "input_reference")
    }
    for name, field in fields.items():
        for value in field.get("enum") or [field.get(bound) for bound in ("minimum", "maximum", "default")]:
            assert valid(body, **{name: value}), (name, value)
        for other in SYNONYMS.get(name, ()):
            assert valid(body, **{other: field.get("default", field.get("minimum"))}), other


def test_nobody_may_ask_for_a_rewritten_prompt_where_nothing_rewrites_any() -> None:
    for upsampling, taken in (("never", False), ("on_request", True), ("always", True)):
        body = schemas(*BOTH, prompt_upsampling=upsampling)["CreateVideo"]
        assert (valid(body, prompt_upsampling=True), valid(body, prompt_upsampling=False)) == (taken, True)
        assert not valid(body, prompt_upsampling="true")


def test_what_no_model_takes_the_document_refuses() -> None:
    video = schemas(*BOTH)["CreateVideo"]
    for fields in ({"size": "1x1"}, {"stepz": 4}, {"steps": 0}, {"model": "sora-2"}, {"seed": 2**32}, {"input_reference": 7}):
        assert not valid(video, **fields), fields
    alone = schemas("tiny-predict2")["CreateVideo"]
    assert valid(video, size="1280x704")
    assert not valid(alone, size="1280x704")
    assert not valid(schemas("tiny-predict2")["RemixVideo"], size="96x96")


def test_webhooks_are_offered_only_where_they_are_set_up() -> None:
    assert not valid(schemas("tiny-predict2")["CreateVideo"], webhook_url="https://a.example")
    assert valid(schemas("tiny-predict2", webhooks=True)["CreateVideo"], webhook_url="https://a.example")
