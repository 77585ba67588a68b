"""What the guardrail makes of a prompt that a language model wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orrery.stages.guardrail_text import REFUSED, GuardrailText
from orrery.stages.stage import StageSettings
from orrery.worlds.contracts import GUARDRAIL_TEXT
from orrery.worlds.errors import PromptBlocked
from orrery.worlds.upsampling import Choice, Fail, Outcome, Upsampling
from stages.setting import PlainCall

OWN, LONG, BAD = "a robot", "A robot of brushed steel walks.", "a nude robot walks"


def chosen(prompt: str | None, *, fail: Fail = Fail.OPEN, own: str = OWN) -> tuple[str, Choice, dict[str, Any]]:
    upsampling = Upsampling(prompt=prompt, reason=None if prompt else "it is away", fail=fail)
    data = np.frombuffer(upsampling.model_dump_json().encode(), np.uint8)
    answer = GuardrailText(StageSettings(models_dir=Path())).run({"prompt": own, "upsampling": data}, PlainCall({}))
    assert set(answer) == {output.name for output in GUARDRAIL_TEXT.outputs}
    text = answer["chosen_prompt"].tobytes().decode()
    return text, Choice.model_validate_json(answer["choice"].tobytes()), json.loads(answer["verdict"])


@pytest.mark.parametrize("fail", Fail)
def test_an_upsampled_prompt_that_may_pass_is_chosen(fail: Fail) -> None:
    text, choice, verdict = chosen(LONG, fail=fail)
    assert (text, choice) == (LONG, Choice(outcome=Outcome.UPSAMPLED))
    assert {name: one["allowed"] for name, one in verdict.items()} == {"prompt": True, "upsampled_prompt": True}


def test_one_that_is_refused_gives_way_to_the_clients_own_if_failing_is_open() -> None:
    text, choice, verdict = chosen(BAD)
    assert (text, choice) == (OWN, Choice(outcome=Outcome.ORIGINAL, reason=REFUSED))
    assert [match["term"] for match in verdict["upsampled_prompt"]["matches"]] == ["nude"]


def test_one_that_is_refused_fails_the_job_if_failing_is_closed() -> None:
    with pytest.raises(PromptBlocked) as blocked:
        chosen(BAD, fail=Fail.CLOSED)
    assert blocked.value.field == "upsampled_prompt"
    assert blocked.value.evidence is not None


def test_without_an_upsampled_prompt_the_clients_own_goes_on_and_it_is_said_why() -> None:
    assert chosen(None)[:2] == (OWN, Choice(outcome=Outcome.ORIGINAL, reason="it is away"))


@pytest.mark.parametrize("prompt", [LONG, BAD, None])
def test_a_prompt_that_is_refused_itself_is_refused_whatever_came_of_it(prompt: str | None) -> None:
    with pytest.raises(PromptBlocked) as blocked:
        chosen(prompt, own=BAD)
    assert blocked.value.field == "prompt"
