"""The stage that reads a job's text before any device is spent on it."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from orrery.guardrails.prompts import check_prompts
from orrery.guardrails.text import check_text
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.contracts import CHOICE, CHOSEN, GUARDRAIL_TEXT, UPSAMPLING, StageContract
from orrery.worlds.upsampling import Choice, Fail, Outcome, Upsampling

REFUSED = "the guardrail refused the upsampled prompt"


class GuardrailText:
    """Raises `PromptBlocked` naming the field; otherwise the verdict says which checks ran on which field.

    An upsampled prompt that is refused never goes on: it fails the job if the upsampler fails closed, and gives way to the
    client's own prompt if it fails open.
    """

    contract: ClassVar[StageContract] = GUARDRAIL_TEXT

    def __init__(self, settings: StageSettings) -> None:
        self._settings = settings

    def run(self, values: Values, call: Call) -> Values:
        call.check_cancelled()
        texts = {field: values[field] for field in _FIELDS if field in values}
        if UPSAMPLING.name not in values:
            return {"verdict": check_prompts(texts)}
        return _chosen(texts, Upsampling.model_validate_json(values[UPSAMPLING.name].tobytes()))


_FIELDS = tuple(parameter.name for parameter in GUARDRAIL_TEXT.parameters)


def _chosen(texts: dict[str, str], upsampling: Upsampling) -> Values:
    """The client's own texts are checked as ever; what is refused of the upsampled one stays in the verdict."""
    verdicts = json.loads(check_prompts(texts))
    if upsampling.prompt is None:
        return _answer(verdicts, texts["prompt"], Choice(outcome=Outcome.ORIGINAL, reason=upsampling.reason))
    upsampled = {"upsampled_prompt": upsampling.prompt}
    if upsampling.fail is Fail.CLOSED:
        verdicts |= json.loads(check_prompts(upsampled))
        return _answer(verdicts, upsampling.prompt, Choice(outcome=Outcome.UPSAMPLED))
    verdict = check_text(upsampling.prompt)
    verdicts["upsampled_prompt"] = verdict.model_dump(mode="json")
    if verdict.allowed:
        return _answer(verdicts, upsampling.prompt, Choice(outcome=Outcome.UPSAMPLED))
    return _answer(verdicts, texts["prompt"], Choice(outcome=Outcome.ORIGINAL, reason=REFUSED))


def _answer(verdicts: dict[str, object], prompt: str, choice: Choice) -> Values:
    return {"verdict": json.dumps(verdicts), CHOSEN.name: _bytes(prompt), CHOICE.name: _bytes(choice.model_dump_json())}


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)
