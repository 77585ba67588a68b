"""The text of a request, field by field: the same rule in the gateway, before a job exists, and in the stage."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orrery.guardrails.text import check_text
from orrery.worlds.errors import PromptBlocked


def check_prompts(texts: Mapping[str, str]) -> str:
    """The verdicts by field as JSON. Raises `PromptBlocked` naming the first field that is refused, with the evidence."""
    verdicts = {}
    for field, text in texts.items():
        verdict = check_text(text)
        if not verdict.allowed:
            evidence = [match.model_dump() for match in verdict.matches]
            raise PromptBlocked(f"{field} contains what this service does not make", field=field, evidence=evidence)
        verdicts[field] = verdict.model_dump(mode="json")
    return json.dumps(verdicts)
