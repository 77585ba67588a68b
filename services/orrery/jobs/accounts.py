"""What the tenants of a stage may still take of it, as `MemoryJobs` keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from orrery.jobs.records import Priority
from orrery.jobs.rules import MOST_CREDIT, PRICE_SMOOTHING, TURN


def average(old: float | None, value: float, smoothing: float) -> float:
    return value if old is None else old + smoothing * (value - old)


@dataclass
class Account:
    """Of one tenant in one class: its latest place in the rings, and in how many of them it is."""

    place: int
    credit: int = TURN
    seats: int = 0


class Accounts:
    """Of one stage. A tenant has one account and one place in all its pools, so that none gives it a turn more than the other.

    `places` are the numbers by which the rings are sorted.
    """

    def __init__(self, places: Iterator[int]) -> None:
        self._places = places
        self._accounts: dict[tuple[Priority, str], Account] = {}
        self._price: float | None = None

    def join(self, priority: Priority, tenant: str) -> int:
        """The tenant's place in one more ring."""
        name = priority, tenant
        account = self._accounts.get(name) or self._accounts.setdefault(name, Account(next(self._places)))
        account.seats += 1
        return account.place

    def leave(self, priority: Priority, tenant: str) -> None:
        """Out of one ring; out of the last, the tenant has no account any more."""
        account = self._accounts[priority, tenant]
        account.seats -= 1
        if not account.seats:
            del self._accounts[priority, tenant]

    def of(self, priority: Priority, tenant: str) -> Account:
        return self._accounts[priority, tenant]

    def last_place(self, priority: Priority, tenant: str) -> int:
        """A place behind all others, now the tenant's."""
        account = self._accounts[priority, tenant]
        account.place = next(self._places)
        return account.place

    def charge(self, priority: Priority, tenant: str, seconds: float, *, its_turn: bool) -> None:
        """Charges the tenant what a task cost above the stage's average, or gives it back what it cost below.

        Whose turn it is, in the pools that the task was claimed from, gets nothing back: tasks that cost nothing would let the
        turn last for ever.
        """
        self._price = average(self._price, seconds, PRICE_SMOOTHING)
        account = self._accounts.get((priority, tenant))
        if self._price <= 0 or account is None:
            return
        above = math.floor(TURN * (seconds / self._price - 1) + 0.5)
        if above >= 0 or not its_turn:
            account.credit = max(-MOST_CREDIT, min(account.credit - above, MOST_CREDIT))
