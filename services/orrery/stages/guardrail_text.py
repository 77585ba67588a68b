"""The stage that reads a job's text before any device is spent on it."""

from __future__ import annotations

from typing import ClassVar

from orrery.guardrails.prompts import check_prompts
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.contracts import GUARDRAIL_TEXT, StageContract


class GuardrailText:
    """Raises `PromptBlocked` naming the field; otherwise the verdict says which checks ran on which field."""

    contract: ClassVar[StageContract] = GUARDRAIL_TEXT

    def __init__(self, settings: StageSettings) -> None:
        self._settings = settings

    def run(self, values: Values, call: Call) -> Values:
        call.check_cancelled()
        return {"verdict": check_prompts({field: values[field] for field in _FIELDS if field in values})}


_FIELDS = tuple(parameter.name for parameter in GUARDRAIL_TEXT.parameters)
