"""What a store is told at its making, and the constants that both stores reckon with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from orrery.jobs.records import Priority

WEIGHTS = {Priority.INTERACTIVE: 16, Priority.STANDARD: 4, Priority.BATCH: 1}
"""Turns of the classes, in order of urgency: of 21 claims from pools in which all of them wait, the last gets one."""

TURN = 1000
"""Credit of one turn, in thousandths of a task of average price."""

MOST_CREDIT = 8 * TURN
"""A tenant takes no more than so many tasks in one turn, and is passed over no more often."""

MOST_PREEMPTIONS = 8
"""A task that was displaced so often runs to its end."""

PACE_SMOOTHING = 0.2
"""Weight of the latest task in the seconds that one holds a worker: soon right after a change."""

PRICE_SMOOTHING = 0.02
"""Weight of the latest task in the average price of a stage: steady, for shares are reckoned by it."""

UNMEASURED = 10.0
"""Seconds a task is taken to need in a pool that has not completed any."""


class Terms(TypedDict, total=False):
    """`Rules` as keywords."""

    lease: float
    max_attempts: int
    max_waiting_per_pool: int
    max_waiting_per_tenant: int
    retention: float
    remembered: float


@dataclass(frozen=True)
class Rules:
    """All processes on one server must agree on them.

    `lease` is how long a worker may stay silent, in seconds. The bounds count tasks that were accepted and not started,
    those that still need others included: in one pool over all tenants, and of one tenant over all pools. They hold for
    submissions alone; what was accepted is queued again without asking. `retention` is how long jobs are kept after their
    end, `remembered` how long an idempotency key stands, also for a job that is no more; both in seconds.
    """

    lease: float = 15.0
    max_attempts: int = 3
    max_waiting_per_pool: int = 100_000
    max_waiting_per_tenant: int = 50_000
    retention: float = 7 * 86_400.0
    remembered: float = 86_400.0
