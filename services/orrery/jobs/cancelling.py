"""Ending tasks that may be in the middle of a Redis command."""

from __future__ import annotations

import asyncio
from typing import Any


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels until every task has ended; their errors are nobody's any more.

    Once is not enough on Python 3.11: `asyncio.wait_for`, in which redis sends its commands, may swallow a cancellation.
    """
    while pending := {task for task in tasks if not task.done()}:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)
    for task in tasks:
        if not task.cancelled():
            task.exception()
