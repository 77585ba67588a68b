"""The guardrail as a stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orrery.stages.guardrail_text import GuardrailText
from orrery.stages.stage import Cancelled, StageSettings, stage_class
from orrery.worlds.contracts import GUARDRAIL_TEXT
from orrery.worlds.errors import PromptBlocked


class Quiet:
    """A call that nobody follows."""

    def check_cancelled(self) -> None:
        return None

    def report(self, **progress: int) -> None:
        raise AssertionError("a guardrail has no progress")

    def infer(self, stage: str, values: Any) -> Any:
        raise AssertionError("a guardrail calls no other stage")


class Gone(Quiet):
    def check_cancelled(self) -> None:
        raise Cancelled


@pytest.fixture
def stage(tmp_path: Path) -> GuardrailText:
    return GuardrailText(StageSettings(models_dir=tmp_path))


def test_the_registry_leads_to_it() -> None:
    assert stage_class("guardrail_text") is GuardrailText


def test_the_verdict_says_which_checks_ran_on_which_field(stage: GuardrailText) -> None:
    answer = stage.run({"prompt": "a robot", "negative_prompt": "ugly"}, Quiet())
    assert set(answer) == {output.name for output in GUARDRAIL_TEXT.outputs if not output.optional}
    verdict = json.loads(answer["verdict"])
    assert set(verdict) == {"prompt", "negative_prompt"}
    assert [(check["name"], check["ran"]) for check in verdict["prompt"]["checks"]] == [
        ("blocklist", True),
        ("classifier", False),
    ]
    assert set(json.loads(stage.run({"prompt": "a robot"}, Quiet())["verdict"])) == {"prompt"}


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_block_names_the_field_and_shows_the_evidence(stage: GuardrailText, field: str) -> None:
    values = {"prompt": "a robot", "negative_prompt": "ugly"} | {field: "a nude robot"}
    with pytest.raises(PromptBlocked) as blocked:
        stage.run(values, Quiet())
    assert blocked.value.field == field
    assert blocked.value.evidence == [
        {"check": "blocklist", "list": "better-profanity", "term": "nude", "start": 2, "end": 6, "text": "nude"}
    ]


def test_a_cancelled_call_is_not_answered(stage: GuardrailText) -> None:
    with pytest.raises(Cancelled):
        stage.run({"prompt": "a robot"}, Gone())
