"""The waiting tasks of one pool as `MemoryJobs` keeps them; the same rules as in `lua/order.lua`."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from orrery.jobs.accounts import Accounts
from orrery.jobs.records import Priority
from orrery.jobs.rows import TaskRow
from orrery.jobs.rules import WEIGHTS


def ticket_of(row: TaskRow) -> int:
    return row.ticket


@dataclass
class Seat:
    """A tenant's in a ring: where it is, and what the tenant has waiting, by ticket."""

    place: int
    rows: list[TaskRow] = field(default_factory=list)


class Line:
    """By class and tenant. The tenants of a class sit in a ring, by the place of their turns."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self._rings: dict[Priority, dict[str, Seat]] = {priority: {} for priority in WEIGHTS}
        self.owed = 0
        """Turns that displaced tasks left to interactive ones of the pool."""

    def waiting(self, priority: Priority) -> int:
        return sum(len(seat.rows) for seat in self._rings[priority].values())

    def __len__(self) -> int:
        return sum(map(self.waiting, self._rings))

    def put(self, row: TaskRow) -> None:
        ring = self._rings[row.priority]
        if row.tenant not in ring:
            ring[row.tenant] = Seat(self.accounts.join(row.priority, row.tenant))
        insort(ring[row.tenant].rows, row, key=ticket_of)

    def drop(self, row: TaskRow) -> None:
        """Takes the task out. With its last one a class forgets whose turn it was."""
        rows = self._rings[row.priority][row.tenant].rows
        del rows[bisect_left(rows, row.ticket, key=ticket_of)]
        if not self.waiting(row.priority):
            for tenant in list(self._rings[row.priority]):
                self.leave(row.priority, tenant)

    def leave(self, priority: Priority, tenant: str) -> None:
        del self._rings[priority][tenant]
        self.accounts.leave(priority, tenant)

    def seats(self, priority: Priority) -> list[tuple[int, str]]:
        """Places and their tenants."""
        return sorted((seat.place, tenant) for tenant, seat in self._rings[priority].items())

    def move(self, priority: Priority, tenant: str, place: int) -> None:
        """To the place, if the tenant sits here."""
        if tenant in self._rings[priority]:
            self._rings[priority][tenant].place = place

    def first(self, priority: Priority, tenant: str) -> TaskRow | None:
        seat = self._rings[priority].get(tenant)
        return seat.rows[0] if seat and seat.rows else None

    def ahead(self, row: TaskRow) -> int:
        """Number of tasks of the pool handed out before this one."""
        in_class = self._ahead_in_class(row)
        shares = {other: (in_class + 1) * WEIGHTS[other] // WEIGHTS[row.priority] for other in WEIGHTS}
        return in_class + sum(min(n, self.waiting(other)) for other, n in shares.items() if other is not row.priority)

    def _ahead_in_class(self, row: TaskRow) -> int:
        ring = self._rings[row.priority]
        rank = bisect_left(ring[row.tenant].rows, row.ticket, key=ticket_of)
        ahead, turns = rank, rank + 1
        for _, tenant in self.seats(row.priority):
            if tenant == row.tenant:
                turns = rank
            else:
                ahead += min(turns, len(ring[tenant].rows))
        return ahead
