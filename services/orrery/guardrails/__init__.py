"""Text guardrails in plain Python: what a prompt may not say, and the evidence when it does."""

from orrery.guardrails.text import CHECKS, TextCheck, check_text
from orrery.guardrails.verdict import CheckRan, Match, Verdict

__all__ = ["CHECKS", "CheckRan", "Match", "TextCheck", "Verdict", "check_text"]
