"""What a guardrail found, in a form that goes into a job's record and into the error a client gets."""

from __future__ import annotations

from orrery.worlds.plan import Frozen


class Match(Frozen):
    """One finding. `start` and `end` are offsets into the text as it was sent, `text` is what stands there."""

    check: str
    list: str
    term: str
    start: int
    end: int
    text: str


class CheckRan(Frozen):
    """Whether a check ran. `version` names its rules exactly; `reason` says why it did not run."""

    name: str
    ran: bool
    version: str | None = None
    reason: str | None = None


class Verdict(Frozen):
    allowed: bool
    matches: tuple[Match, ...]
    checks: tuple[CheckRan, ...]
