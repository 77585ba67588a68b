"""The Lua scripts, each one transaction. What Python knows already, they are given as constants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from orrery.jobs.keys import GROUP, NOBODY, ROOT
from orrery.jobs.outage import outages_named
from orrery.jobs.records import JOB_TRANSITIONS, TASK_TRANSITIONS

JOB_EVENTS_KEPT = 2_000
CANCELLATIONS_KEPT = 1_000


class Scripts:
    """Calls scripts by name. The server is sent a script once and afterwards only its digest."""

    def __init__(self, client: Redis, *, events_kept: int):
        self._register = client.register_script
        self._preface = _constants(events_kept) + _source("prelude")
        self._known: dict[str, Any] = {}

    async def __call__(self, name: str, *args: str | int | float) -> Any:
        if name not in self._known:
            self._known[name] = self._register(self._preface + _source(name))
        with outages_named():
            return await self._known[name](keys=[ROOT], args=args)


def _source(name: str) -> str:
    return files("orrery.jobs").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def _constants(events_kept: int) -> str:
    return "\n".join(
        [
            f"local JOB_MOVES = {_moves(JOB_TRANSITIONS)}",
            f"local TASK_MOVES = {_moves(TASK_TRANSITIONS)}",
            f"local GROUP, NOBODY = '{GROUP}', '{NOBODY}'",
            f"local EVENTS_KEPT, JOB_EVENTS_KEPT = {events_kept}, {JOB_EVENTS_KEPT}",
            f"local CANCELLATIONS_KEPT = {CANCELLATIONS_KEPT}\n",
        ]
    )


def _moves(table: Mapping[Any, frozenset[Any]]) -> str:
    """A transition table in Lua: the states that may follow are the keys of the state's entry."""
    moves = {state: dict.fromkeys(sorted(following), True) for state, following in table.items()}
    return f"cjson.decode('{json.dumps(moves)}')"
