"""The Lua scripts, each one transaction. What Python knows already, they are given as constants."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from orrery.jobs.calls import Calls, Word
from orrery.jobs.keys import ROOT
from orrery.jobs.outage import outages_named
from orrery.jobs.records import JOB_TRANSITIONS, TASK_TRANSITIONS
from orrery.jobs.rules import MOST_CREDIT, MOST_PREEMPTIONS, PACE_SMOOTHING, PRICE_SMOOTHING, WEIGHTS
from orrery.jobs.server import check_version

JOB_EVENTS_KEPT = 2_000
SIGNALS_KEPT = 1_000
SHARED = ("prelude", "order", "yielding", "hold")
BEFORE = dict.fromkeys(("position", "look", "submit"), ("place",))
"""What else stands before a script."""


class Scripts:
    """Calls scripts by name. The server is asked its version first; it is sent a script once, afterwards only its digest."""

    def __init__(self, client: Redis, *, events_kept: int):
        self._client = client
        self._call = Calls(client)
        self._preface = _constants(events_kept) + "".join(map(_source, SHARED))
        self._known: dict[str, Any] = {}

    async def __call__(self, name: str, *args: Word) -> Any:
        if not self._known:
            await check_version(self._client)
        if name not in self._known:
            text = "".join(map(_source, (*BEFORE.get(name, ()), name)))
            self._known[name] = self._client.register_script(self._preface + text)
        script = self._known[name]
        with outages_named():
            try:
                return await self._call("EVALSHA", script.sha, 1, ROOT, *args)
            except NoScriptError:
                return await script(keys=[ROOT], args=args)


def _source(name: str) -> str:
    return files("orrery.jobs").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def _constants(events_kept: int) -> str:
    classes, weights = [f"'{name}'" for name in WEIGHTS], map(str, WEIGHTS.values())
    return "\n".join(
        [
            f"local JOB_MOVES = {moves(JOB_TRANSITIONS)}",
            f"local TASK_MOVES = {moves(TASK_TRANSITIONS)}",
            f"local CLASSES, WEIGHTS = {{{', '.join(classes)}}}, {{{', '.join(weights)}}}",
            f"local MOST_CREDIT, MOST_PREEMPTIONS = {MOST_CREDIT}, {MOST_PREEMPTIONS}",
            f"local PACE_SMOOTHING, PRICE_SMOOTHING = {PACE_SMOOTHING}, {PRICE_SMOOTHING}",
            f"local EVENTS_KEPT, JOB_EVENTS_KEPT = {events_kept}, {JOB_EVENTS_KEPT}",
            f"local SIGNALS_KEPT = {SIGNALS_KEPT}\n",
        ]
    )


def moves(table: Mapping[Any, frozenset[Any]]) -> str:
    """A transition table in Lua: the states that may follow are the keys of the state's entry."""
    states = [
        f"{state} = {{{', '.join(f'{following} = true' for following in sorted(followers))}}}"
        for state, followers in table.items()
    ]
    return f"{{{', '.join(states)}}}"
