"""The order of waiting tasks as `MemoryJobs` keeps it; the same rules as in `lua/order.lua`."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass, field

from orrery.jobs.records import Priority
from orrery.jobs.rows import TaskRow
from orrery.jobs.rules import MOST_CREDIT, PRICE_SMOOTHING, TURN, WEIGHTS


def average(old: float | None, value: float, smoothing: float) -> float:
    return value if old is None else old + smoothing * (value - old)


def ticket_of(row: TaskRow) -> int:
    return row.ticket


@dataclass
class Turn:
    """A tenant of the ring: what it has waiting, by ticket, and what it may still take."""

    rows: list[TaskRow] = field(default_factory=list)
    credit: int = TURN


class Line:
    """The waiting tasks of one pool: turns of the classes by weight, in each turns of the tenants, of a tenant the oldest."""

    def __init__(self) -> None:
        self._rings: dict[Priority, OrderedDict[str, Turn]] = {priority: OrderedDict() for priority in WEIGHTS}
        self._behind: dict[Priority, int] = {}
        self._price: float | None = None
        self.owed = 0
        """Turns that displaced tasks left to interactive ones."""

    def waiting(self, priority: Priority) -> int:
        return sum(len(turn.rows) for turn in self._rings[priority].values())

    def __len__(self) -> int:
        return sum(map(self.waiting, self._rings))

    def put(self, row: TaskRow) -> None:
        insort(self._ring(row).setdefault(row.tenant, Turn()).rows, row, key=ticket_of)

    def drop(self, row: TaskRow) -> None:
        rows = self._ring(row)[row.tenant].rows
        del rows[bisect_left(rows, row.ticket, key=ticket_of)]
        self._tidy(row.priority)

    def _ring(self, row: TaskRow) -> OrderedDict[str, Turn]:
        return self._rings[row.priority]

    def _tidy(self, priority: Priority) -> None:
        """With its last task a class forgets whose turn it was."""
        if not self.waiting(priority):
            self._rings[priority].clear()

    def next(self) -> TaskRow | None:
        """Takes out the task that is handed out next."""
        priority = self._next_class()
        if priority is None:
            return None
        row = self._next_turn(self._rings[priority]).rows.pop(0)
        self._tidy(priority)
        return row

    def _next_class(self) -> Priority | None:
        if self.owed and self.waiting(Priority.INTERACTIVE):
            self.owed -= 1
            return Priority.INTERACTIVE
        self.owed = 0
        active = [priority for priority in WEIGHTS if self.waiting(priority)]
        self._behind = {priority: self._behind.get(priority, 0) + WEIGHTS[priority] for priority in active}
        best = max(active, key=self._behind.__getitem__, default=None)
        if best is not None:
            self._behind[best] -= sum(WEIGHTS[priority] for priority in active)
        return best

    def _next_turn(self, ring: OrderedDict[str, Turn]) -> Turn:
        while True:
            tenant, turn = next(iter(ring.items()))
            credit = turn.credit
            if not turn.rows:
                del ring[tenant]
                continue
            if credit < 2 * TURN:
                ring.move_to_end(tenant)
            else:
                turn.credit -= TURN
            if credit >= TURN:
                return turn
            turn.credit += TURN

    def charge(self, row: TaskRow, seconds: float) -> None:
        """Charges the tenant what a task cost above the average, or gives it back what it cost below."""
        self._price = average(self._price, seconds, PRICE_SMOOTHING)
        ring = self._ring(row)
        if self._price <= 0 or row.tenant not in ring:
            return
        above = math.floor(TURN * (seconds / self._price - 1) + 0.5)
        if above < 0 and next(iter(ring)) == row.tenant:
            return
        turn = ring[row.tenant]
        turn.credit = max(-MOST_CREDIT, min(turn.credit - above, MOST_CREDIT))

    def ahead(self, row: TaskRow) -> int:
        """Number of tasks handed out before this one."""
        in_class = self._ahead_in_class(row)
        shares = {other: (in_class + 1) * WEIGHTS[other] // WEIGHTS[row.priority] for other in WEIGHTS}
        return in_class + sum(min(n, self.waiting(other)) for other, n in shares.items() if other is not row.priority)

    def _ahead_in_class(self, row: TaskRow) -> int:
        rank = bisect_left(self._ring(row)[row.tenant].rows, row.ticket, key=ticket_of)
        ahead, turns = rank, rank + 1
        for tenant, turn in self._ring(row).items():
            if tenant == row.tenant:
                turns = rank
            else:
                ahead += min(turns, len(turn.rows))
        return ahead
