"""A worker that is told to stop: what can be finished in time is finished, the rest goes back with a checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping

from orrery.worker.holding import Holding

_LOOK_SECONDS = 0.1


async def wind_down(held: Mapping[str, Holding], loops: Collection[asyncio.Task[None]], seconds: float) -> None:
    """Until every loop has ended or `seconds` are over. Work that would not end in time is asked to yield at its next step.

    Of work whose speed is not known yet, less than two steps are done: it yields too. A stage that cannot yield has all the
    time there is.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not all(loop.done() for loop in loops):
        for holding in held.values():
            if holding.pace.remaining() > left:
                holding.control.ask_to_yield()
        await asyncio.wait(loops, timeout=min(left, _LOOK_SECONDS))
