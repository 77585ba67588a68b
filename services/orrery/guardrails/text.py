"""`check_text`: every registered check over one text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

from orrery.guardrails.blocklist import BlockList
from orrery.guardrails.verdict import CheckRan, Match, Verdict


class TextCheck(Protocol):
    """`version` changes whenever the same text could be judged otherwise."""

    @property
    def version(self) -> str: ...

    def matches(self, text: str) -> tuple[Match, ...]:
        """Everything in `text` that is refused; nothing if it may pass."""
        ...


Builder = Callable[[], TextCheck]

CHECKS: dict[str, Builder | None] = {
    "blocklist": cache(BlockList.packaged),
    # A model that judges meaning. Named although none is installed, so that no record is silent about it.
    "classifier": None,
}
"""Checks by name, built at their first use. None: there is a place for the check and nothing in it."""


def check_text(text: str, checks: Mapping[str, Builder | None] = CHECKS) -> Verdict:
    """Runs every check there is; allowed only if none of them matched."""
    matches: list[Match] = []
    ran: list[CheckRan] = []
    for name, build in checks.items():
        if build is None:
            ran.append(CheckRan(name=name, ran=False, reason="not installed"))
            continue
        check = build()
        matches += check.matches(text)
        ran.append(CheckRan(name=name, ran=True, version=check.version))
    return Verdict(allowed=not matches, matches=tuple(matches), checks=tuple(ran))
