"""The text of a request, field by field: the same rule in the gateway, before a job exists, and in the stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from orrery.guardrails.text import check_text
from orrery.guardrails.verdict import Verdict
from orrery.worlds.errors import PromptBlocked

_verdict = lru_cache(256)(check_text)
"""Of the latest texts: most requests have the same negative prompt, and what is resumed or repeated the same prompt."""


def refuse_blocked(texts: Mapping[str, str]) -> dict[str, Verdict]:
    """The verdicts by field. Raises `PromptBlocked` naming the first field that is refused, with the evidence."""
    verdicts = {field: _verdict(text) for field, text in texts.items()}
    for field, verdict in verdicts.items():
        if not verdict.allowed:
            evidence = [match.model_dump() for match in verdict.matches]
            raise PromptBlocked(f"{field} contains what this service does not make", field=field, evidence=evidence)
    return verdicts


def check_prompts(texts: Mapping[str, str]) -> str:
    """The verdicts by field as JSON. Raises `PromptBlocked` as `refuse_blocked` does."""
    return json.dumps({field: verdict.model_dump(mode="json") for field, verdict in refuse_blocked(texts).items()})
